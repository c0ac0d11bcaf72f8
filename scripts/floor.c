/* The least that TCP probing costs on Linux: what `vmssh probe` does for each probe, and nothing else.
 * The measure that scripts/bench holds against the product.
 *
 * usage: floor PROBES INTERVAL_MS TIMEOUT_MS ADDRESS PORT[,PORT]...
 *
 * All ports at once, the probes of one port one after the other on a grid of the interval. Half-open:
 * the kernel holds the handshake's last packet back, and the socket is reset on its first event. Prints
 * one line: outcomes, the kernel's round-trip times, and how much later this program noticed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Longer bursts without a look at the answers measure this machine's own queue. */
enum { BURST = 8, EVENTS = 64 };

struct port {
	struct sockaddr_in to;
	int fd; /* -1: no probe is under way */
	int overdue; /* the grid's next point passed while one was under way */
	uint32_t left, number; /* probes to start, probes started */
	uint64_t start;
};
/* A ring of ports with a time each. Every push is later than the ones before it. */
struct entry { uint64_t at; uint32_t port, number; };
struct queue { struct entry *entries; uint32_t head, length, room; };

static struct port *ports;
static uint32_t count;
static struct queue ready, grid, deadlines;
static uint64_t interval, limit, total, ended;
static int ep;
static uint32_t answered, refused, timed_out, unreachable, local, resent, itself, said_by;
static uint32_t *rtts, *delays, rtt_count;

static uint64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void *must(void *memory) {
	if (!memory) die("memory");
	return memory;
}

static void push(struct queue *q, uint64_t at, uint32_t port) {
	if (q->length == q->room) { /* entries of probes that ended wait for their time: the ring grows */
		uint32_t k, room = q->room ? q->room * 2 : 1024;
		struct entry *entries = must(malloc(room * sizeof *entries));
		for (k = 0; k < q->length; k++) entries[k] = q->entries[(q->head + k) % q->room];
		free(q->entries);
		*q = (struct queue){entries, 0, q->length, room};
	}
	q->entries[(q->head + q->length++) % q->room] = (struct entry){at, port, ports[port].number};
}

static struct entry *first(struct queue *q) { return q->length ? &q->entries[q->head] : 0; }

static void pop(struct queue *q) {
	q->head = (q->head + 1) % q->room;
	q->length--;
}

/* The probe is over, whatever came of it; the next one of the port may begin. */
static void over(uint32_t k) {
	struct port *p = &ports[k];
	if (p->fd >= 0) close(p->fd);
	p->fd = -1;
	ended++;
	if (p->left && (!interval || p->overdue)) push(&ready, 0, k);
	p->overdue = 0;
}

static void failed(uint32_t k, int error) {
	if (error == ECONNREFUSED || error == ECONNRESET) refused++;
	else if (error == ETIMEDOUT) timed_out++;
	else if (error == EHOSTUNREACH || error == ENETUNREACH || error == EACCES) unreachable++;
	else local++;
	over(k);
}

static void start(uint32_t k) {
	static const struct linger reset = {1, 0};
	static const int on = 1, off = 0;
	struct epoll_event event = {EPOLLOUT, {.u32 = k}};
	struct port *p = &ports[k];
	p->left--;
	p->number++;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	p->start = now_ns();
	if (interval && p->left) push(&grid, p->start + interval, k);
	if (p->fd < 0) return failed(k, errno);
	setsockopt(p->fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(p->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
	p->start = now_ns();
	if (connect(p->fd, (struct sockaddr *)&p->to, sizeof p->to) && errno != EINPROGRESS) return failed(k, errno);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &event)) die("epoll_ctl");
	push(&deadlines, p->start + limit, k);
}

/* Who refused is in the error queue, and reading that clears SO_ERROR: the errno is taken from there. */
static int error_of(int fd) {
	char control[256];
	struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
	int error = 0;
	socklen_t length = sizeof error;
	if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
		struct cmsghdr *c;
		for (c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
			if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
				struct sock_extended_err *e = (struct sock_extended_err *)CMSG_DATA(c);
				said_by += e->ee_origin == SO_EE_ORIGIN_ICMP;
				return (int)e->ee_errno;
			}
		}
	}
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	return error;
}

static void event(uint32_t k, uint32_t events, uint64_t at) {
	struct port *p = &ports[k];
	struct tcp_info info = {0};
	struct sockaddr_in from = {0};
	socklen_t info_length = sizeof info, from_length = sizeof from;
	int error = events & (EPOLLERR | EPOLLHUP) ? error_of(p->fd) : 0;
	if (error) return failed(k, error);
	getsockopt(p->fd, IPPROTO_TCP, TCP_INFO, &info, &info_length);
	getsockname(p->fd, (struct sockaddr *)&from, &from_length);
	if (from.sin_port == p->to.sin_port && from.sin_addr.s_addr == p->to.sin_addr.s_addr) {
		itself++;
		return failed(k, ECONNREFUSED);
	}
	answered++;
	resent += info.tcpi_total_retrans;
	if (info.tcpi_rtt) {
		uint64_t took = (at - p->start) / 1000;
		rtts[rtt_count] = info.tcpi_rtt;
		delays[rtt_count++] = took > info.tcpi_rtt ? (uint32_t)(took - info.tcpi_rtt) : 0;
	}
	over(k);
}

/* What is due by now: time limits, and points of the grid. */
static void due(uint64_t now) {
	struct entry *e;
	while ((e = first(&deadlines)) && e->at <= now) {
		uint32_t k = e->port;
		int runs = ports[k].fd >= 0 && ports[k].number == e->number;
		pop(&deadlines);
		if (runs) failed(k, ETIMEDOUT);
	}
	while ((e = first(&grid)) && e->at <= now) {
		uint32_t k = e->port;
		pop(&grid);
		if (ports[k].fd >= 0) ports[k].overdue = 1;
		else push(&ready, 0, k);
	}
}

/* Until when there is nothing to do; 0 where there is something now. */
static uint64_t idle_until(void) {
	struct entry *d = first(&deadlines), *g = first(&grid);
	uint64_t at = d ? d->at : UINT64_MAX;
	if (g && g->at < at) at = g->at;
	return ready.length ? 0 : at;
}

static int ascending(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static double percentile(uint32_t *sorted, double p) {
	return rtt_count ? sorted[(uint32_t)(p * (rtt_count - 1))] / 1000.0 : 0;
}

static void arguments(char **argv) {
	char *word, *list = argv[5];
	struct in_addr address;
	uint32_t probes = (uint32_t)strtoul(argv[1], 0, 10);
	interval = strtoull(argv[2], 0, 10) * 1000000u;
	limit = strtoull(argv[3], 0, 10) * 1000000u;
	if (inet_pton(AF_INET, argv[4], &address) != 1) die(argv[4]);
	while ((word = strsep(&list, ","))) {
		ports = must(realloc(ports, (count + 1) * sizeof *ports));
		ports[count++] = (struct port){
		    .to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(word)), .sin_addr = address},
		    .fd = -1,
		    .left = probes,
		};
	}
	total = (uint64_t)count * probes;
	rtts = must(malloc(total * sizeof *rtts));
	delays = must(malloc(total * sizeof *delays));
}

int main(int argc, char **argv) {
	struct epoll_event events[EVENTS];
	struct rlimit files;
	uint32_t k;
	if (argc != 6) return 2;
	arguments(argv);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll");
	for (k = 0; k < count; k++) push(&ready, 0, k);
	for (;;) {
		struct timespec wait = {0, 0};
		uint64_t until, now;
		int burst, got;
		for (burst = 0; burst < BURST && ready.length; burst++) {
			uint32_t next = first(&ready)->port;
			pop(&ready);
			start(next);
		}
		/* Of the probes that ended, the time limits are still in the ring. */
		if (ended == total) break;
		until = idle_until();
		if (until > (now = now_ns())) {
			wait.tv_sec = (time_t)((until - now) / 1000000000u);
			wait.tv_nsec = (long)((until - now) % 1000000000u);
		}
		if ((got = epoll_pwait2(ep, events, EVENTS, &wait, 0)) < 0 && errno != EINTR) die("epoll_wait");
		now = now_ns();
		while (got-- > 0) event(events[got].data.u32, events[got].events, now);
		due(now);
	}
	qsort(rtts, rtt_count, sizeof *rtts, ascending);
	qsort(delays, rtt_count, sizeof *delays, ascending);
	printf("answered %u refused %u timed-out %u unreachable %u not-sent %u; SYNs sent again %u; of itself %u; "
	       "ICMP %u; round trip p50 %.3f p99 %.3f ms; noticed later p50 %.3f p99 %.3f ms\n",
	       answered, refused, timed_out, unreachable, local, resent, itself, said_by, percentile(rtts, .5),
	       percentile(rtts, .99), percentile(delays, .5), percentile(delays, .99));
	return 0;
}
