// A line of known length between two network namespaces, for scripts/bench: every packet takes the same time each
// way. What `tc netem` does, where the kernel is built with it. Ends when its standard input does.
//
// usage: line MICROSECONDS NAMESPACE DEVICE NAMESPACE DEVICE    (names as `ip netns` has them; the devices are made)
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MTU = 1500, QUEUE = 1 << 15 };

struct packet {
  long long due;
  int length;
  char bytes[MTU];
};

// What is on its way to `to`; beyond QUEUE packets it is lost, as on any line.
struct way {
  int from, to;
  unsigned head, tail;
  struct packet *packets;
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int end_in(const char *name, const char *device) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", name);
  int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) < 0) die(path);
  close(space);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
  if (ioctl(fd, TUNSETIFF, &request) < 0) die(device);
  return fd;
}

static void take(struct way *way, long long delay) {
  for (;;) {
    struct packet lost, *packet = way->tail - way->head < QUEUE ? &way->packets[way->tail % QUEUE] : &lost;
    packet->length = read(way->from, packet->bytes, MTU);
    if (packet->length <= 0) return;
    packet->due = now() + delay;
    if (packet != &lost) way->tail++;
  }
}

static void deliver(struct way *way) {
  for (long long at = now(); way->head != way->tail; way->head++) {
    struct packet *packet = &way->packets[way->head % QUEUE];
    if (packet->due > at) return;
    // An end that is not up yet, or full, loses it.
    if (write(way->to, packet->bytes, packet->length) < 0 && errno == EINTR) return;
  }
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  long long delay = atoll(argv[1]) * 1000;
  int a = end_in(argv[2], argv[3]), b = end_in(argv[4], argv[5]);
  struct way ways[] = {{.from = a, .to = b}, {.from = b, .to = a}};
  for (int k = 0; k < 2; k++)
    if (!(ways[k].packets = malloc(sizeof(struct packet) * QUEUE))) die("memory");
  puts("ready");
  fflush(stdout);
  for (;;) {
    long long next = -1;
    for (int k = 0; k < 2; k++) {
      struct way *way = &ways[k];
      if (way->head == way->tail) continue;
      long long due = way->packets[way->head % QUEUE].due;
      if (next < 0 || due < next) next = due;
    }
    long long left = next < 0 ? 0 : next - now();
    if (left < 0) left = 0;
    struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    struct pollfd ends[] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (ppoll(ends, 3, next < 0 ? NULL : &wait, NULL) < 0 && errno != EINTR) die("ppoll");
    if (ends[2].revents) return 0;
    for (int k = 0; k < 2; k++) take(&ways[k], delay), deliver(&ways[k]);
  }
}
