use std::time::Duration;

/// How long and how often the client waits and asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For one request with its whole answer.
    pub request: Duration,
    /// How often a request is sent again.
    pub retries: u32,
    /// The first wait where Azure names none; each later one is twice as long.
    pub first_wait: Duration,
    /// The longest single wait, also where Azure asks for more.
    pub longest_wait: Duration,
    /// For one call with all its pages, retries and waits.
    pub total: Duration,
    /// For a sign-in.
    pub sign_in: Duration,
    /// The longest body of one answer, in bytes, unpacked.
    pub body: usize,
    /// The most pages of one list.
    pub pages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A SYN lost twice comes again after 1 and 3 s; who has not answered by then does not.
            connect: Duration::from_secs(10),
            // ARM itself gives a provider 60 s and then answers 504.
            request: Duration::from_secs(70),
            // The Azure CLI stops at 3; the fourth is for two providers that throttle one after the other.
            retries: 4,
            // The Azure CLI's.
            first_wait: Duration::from_millis(800),
            // ARM's buckets fill within a minute; what asks for more is a quota that a person must know of.
            longest_wait: Duration::from_secs(75),
            // Room for four long waits; nobody looks at a prompt for longer.
            total: Duration::from_secs(300),
            // `az` is Python: 1-3 s, ten on a cold Windows, and it may renew its own login meanwhile.
            sign_in: Duration::from_secs(30),
            // A page of a thousand instances with their views is about 10 MB.
            body: 32 << 20,
            // A subscription has at most 65,536 network cards, and pages have a hundred entries or more.
            pages: 1000,
        }
    }
}
