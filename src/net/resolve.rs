//! Names to addresses.
//!
//! A name that is in `/etc/hosts` is not asked for. hickory-resolver asks the name servers of the
//! system's configuration for the others. It knows nothing of nsswitch, mDNS or the split name service
//! of a VPN: what it does not find is asked from the system's own resolver before it counts as unknown.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{LookupIpStrategy, ResolveHosts},
    net::NetError,
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
};
use thiserror::Error;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout_at},
};

use crate::natmap::Host;

/// Name servers on the far side of the world answer within one second; five leaves room for a lost
/// packet and a second server.
const LIMIT: Duration = Duration::from_secs(5);

/// How long the name servers may take until the system's own resolver gets the rest of the limit.
const SERVER_LIMIT: Duration = Duration::from_secs(3);

/// The IP versions that are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Both. IPv4 first: Azure's frontends always have it, and a client whose IPv6 leads nowhere
    /// would wait for it.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    fn wants(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Any => "IP",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Why a name gave no address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The name servers and the system say that there is no such name.
    #[error("no such name")]
    NoSuchName,
    /// The name, or the address given, has no address of the wanted IP version.
    #[error("no {} address", .0.name())]
    NoAddress(Family),
    /// There is no name to ask for.
    #[error("the frontend's address is not known")]
    NotTold,
    /// Nobody could be asked, or nobody knew an answer.
    #[error("no answer from the name servers ({0})")]
    NoAnswer(String),
}

type Answer = Result<Vec<IpAddr>, ResolveError>;

/// Resolves names, each once: clones share what is known. Made for one run, so answers don't age.
/// That nobody answered is no answer: it is told to all who wait for it, and whoever comes later asks
/// again.
#[derive(Debug, Clone)]
pub struct Resolver {
    family: Family,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    hosts: OnceLock<Hosts>,
    servers: OnceCell<Result<TokioResolver, String>>,
    answers: Mutex<HashMap<String, Arc<OnceCell<Answer>>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Resolver {
    /// A resolver that gives addresses of the wanted IP versions.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self { family, shared: Arc::default() }
    }

    /// The host's addresses in the order in which to try them; never an empty list. Takes at most
    /// 5 seconds.
    ///
    /// # Errors
    /// When there is no address, or nobody to ask for it.
    pub async fn resolve(&self, host: &Host) -> Answer {
        match host {
            Host::Ip(ip) if self.family.wants(*ip) => Ok(vec![*ip]),
            Host::Ip(_) => Err(ResolveError::NoAddress(self.family)),
            Host::Name(name) => self.once(name, self.ask(name)).await,
            Host::Unknown => Err(ResolveError::NotTold),
        }
    }

    /// What is known of a name, else what comes of `ask`, which all who want it at the time share.
    async fn once(&self, name: &str, ask: impl Future<Output = Answer>) -> Answer {
        let cell = self.answers().entry(name.to_owned()).or_default().clone();
        // Whoever waits while the first asker is cancelled becomes the asker.
        let answer = cell.get_or_init(|| ask).await.clone();
        if matches!(answer, Err(ResolveError::NoAnswer(_))) {
            let mut answers = self.answers();
            // Only this one: others may have begun to ask anew.
            if answers.get(name).is_some_and(|known| Arc::ptr_eq(known, &cell)) {
                answers.remove(name);
            }
        }
        answer
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<OnceCell<Answer>>>> {
        // Nothing under this lock panics half-way through a change.
        self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, name: &str) -> Answer {
        if let Ok(found) = self.wanted(self.in_hosts_file(name)) {
            return Ok(found);
        }
        let end = Instant::now() + LIMIT;
        let from_servers = timeout_at(end.min(Instant::now() + SERVER_LIMIT), self.ask_servers(name))
            .await
            .unwrap_or_else(|_| Err(ResolveError::NoAnswer(format!("none within {SERVER_LIMIT:?}"))));
        let Err(error) = from_servers else { return from_servers };
        // The port only has to be there; nothing is connected.
        match timeout_at(end, tokio::net::lookup_host((name, 0))).await {
            Ok(Ok(found)) => self.wanted(found.map(|address| address.ip()).collect()),
            Ok(Err(_)) | Err(_) => Err(error),
        }
    }

    /// What the hosts file has for a name is all there is of it, as for the system's own resolver: the
    /// name servers are not asked for the other IP version.
    fn in_hosts_file(&self, name: &str) -> Vec<IpAddr> {
        let hosts = self.shared.hosts.get_or_init(|| Hosts::from_system().unwrap_or_default());
        let Ok(name) = Name::from_utf8(name) else { return Vec::new() };
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|found| found.answers().iter().filter_map(|r| r.data.ip_addr()).collect::<Vec<_>>())
            .collect()
    }

    async fn ask_servers(&self, name: &str) -> Answer {
        let servers = self.shared.servers.get_or_init(async || configured(self.family)).await;
        let servers = servers.as_ref().map_err(|e| ResolveError::NoAnswer(e.clone()))?;
        match servers.lookup_ip(name).await {
            Ok(found) => self.wanted(found.iter().collect()),
            Err(error) => Err(explain(&error, self.family)),
        }
    }

    fn wanted(&self, mut addresses: Vec<IpAddr>) -> Answer {
        addresses.retain(|ip| self.family.wants(*ip));
        addresses.sort_by_key(IpAddr::is_ipv6);
        // `lookup_host` may name an address once per socket type.
        addresses.dedup();
        if addresses.is_empty() { Err(ResolveError::NoAddress(self.family)) } else { Ok(addresses) }
    }
}

/// The name servers of the system's configuration.
fn configured(family: Family) -> Result<TokioResolver, String> {
    let mut builder = TokioResolver::builder_tokio().map_err(|e| e.to_string())?;
    tune(builder.options_mut(), family);
    builder.build().map_err(|e| e.to_string())
}

fn tune(options: &mut hickory_resolver::config::ResolverOpts, family: Family) {
    // One lost packet costs one second, and a second try still fits the limit.
    options.timeout = Duration::from_secs(1);
    options.attempts = 1;
    // We have looked there.
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = match family {
        Family::Any => LookupIpStrategy::Ipv4AndIpv6,
        Family::V4 => LookupIpStrategy::Ipv4Only,
        Family::V6 => LookupIpStrategy::Ipv6Only,
    };
}

fn explain(error: &NetError, family: Family) -> ResolveError {
    if error.is_nx_domain() {
        ResolveError::NoSuchName
    } else if error.is_no_records_found() {
        ResolveError::NoAddress(family)
    } else {
        ResolveError::NoAnswer(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use tokio::net::UdpSocket;

    use super::*;

    /// A name server on loopback that knows `web.example` only: 10.9.8.7 and no IPv6.
    async fn name_server() -> (u16, Arc<AtomicUsize>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut query).await {
                count.fetch_add(1, Ordering::SeqCst);
                let query = &query[..len];
                let known = query[12..].starts_with(b"\x03web\x07example\0");
                let end = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
                let wants_v4 = query[end - 3] == 1;
                let mut reply = query[..end].to_vec();
                reply[2] = 0x84;
                reply[3] = if known { 0x80 } else { 0x83 };
                reply[6..12].fill(0);
                if known && wants_v4 {
                    reply[7] = 1;
                    reply.extend(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x09\x08\x07");
                }
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        (port, asked)
    }

    async fn resolver(port: u16, family: Family) -> Resolver {
        let mut server = NameServerConfig::udp(std::net::Ipv4Addr::LOCALHOST.into());
        server.connections[0].port = port;
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, Default::default());
        tune(builder.options_mut(), family);
        let resolver = Resolver::new(family);
        resolver.shared.servers.set(Ok(builder.build().unwrap())).unwrap();
        resolver
    }

    #[tokio::test]
    async fn a_thousand_askers_of_one_name_cost_one_question() {
        let (port, asked) = name_server().await;
        let resolver = resolver(port, Family::V4).await;
        let host: Host = "web.example".parse().unwrap();
        let all = futures_util::future::join_all((0..1000).map(|_| {
            let (resolver, host) = (resolver.clone(), host.clone());
            async move { resolver.resolve(&host).await }
        }))
        .await;
        assert!(all.iter().all(|a| *a == Ok(vec!["10.9.8.7".parse().unwrap()])));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn no_answer_is_shared_and_not_kept_and_what_was_answered_is_kept() {
        let lost = || Err(ResolveError::NoAnswer("lost".into()));
        let found = || Ok(vec!["10.9.8.7".parse().unwrap()]);
        let (resolver, asked) = (Resolver::new(Family::V4), AtomicUsize::new(0));
        let resolve = async |name: &str, answer: Answer| {
            let ask = async {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                answer
            };
            resolver.once(name, ask).await
        };
        // The second comes while the first is under way: its own asking is not needed.
        let both = tokio::join!(resolve("web", lost()), resolve("web", found()));
        assert_eq!((both, asked.load(Ordering::SeqCst)), ((lost(), lost()), 1));
        let no_such = Err(ResolveError::NoSuchName);
        let no_address = Err(ResolveError::NoAddress(Family::V4));
        for (name, answer) in [("web", found()), ("gone", no_such), ("v6", no_address)] {
            asked.store(0, Ordering::SeqCst);
            assert_eq!(resolve(name, answer.clone()).await, answer);
            assert_eq!((resolve(name, lost()).await, asked.load(Ordering::SeqCst)), (answer, 1));
        }
    }

    #[tokio::test]
    async fn what_servers_say_is_told_apart() {
        let (port, _) = name_server().await;
        let v6 = resolver(port, Family::V6).await;
        assert_eq!(v6.ask_servers("web.example").await.unwrap_err(), ResolveError::NoAddress(Family::V6));
        assert_eq!(v6.ask_servers("gone.example").await.unwrap_err(), ResolveError::NoSuchName);

        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let deaf = resolver(silent.local_addr().unwrap().port(), Family::V4).await;
        let error = deaf.ask_servers("web.example").await.unwrap_err();
        assert!(matches!(error, ResolveError::NoAnswer(_)), "{error}");
    }

    #[tokio::test]
    async fn what_is_in_the_hosts_file_is_not_asked_for() {
        let (port, asked) = name_server().await;
        let resolver = async |family| {
            let resolver = resolver(port, family).await;
            let mut hosts = Hosts::default();
            hosts.read_hosts_conf(&b"10.1.1.1 web.example\n"[..]).unwrap();
            resolver.shared.hosts.set(hosts).unwrap();
            resolver
        };
        let answer = resolver(Family::Any).await.resolve(&"Web.Example".parse().unwrap()).await;
        assert_eq!((answer, asked.load(Ordering::SeqCst)), (Ok(vec!["10.1.1.1".parse().unwrap()]), 0));
        // Nothing of the wanted IP version there: the servers may know one.
        let v6 = resolver(Family::V6).await;
        assert!(v6.wanted(v6.in_hosts_file("web.example")).is_err());
    }

    #[tokio::test]
    async fn addresses_and_the_hosts_file_need_no_server() {
        let resolver = Resolver::new(Family::V4);
        let resolve = async |host: &str| resolver.resolve(&host.parse().unwrap()).await;
        assert_eq!(resolve("20.1.2.3").await, Ok(vec!["20.1.2.3".parse().unwrap()]));
        assert_eq!(resolve("localhost").await, Ok(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(resolve("::1").await, Err(ResolveError::NoAddress(Family::V4)));
    }
}
