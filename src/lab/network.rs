//! The lab's private network: who has which address, and connections from one instance to another.
//!
//! They are made inside this process. Nothing else is reached from an instance by a forward: no other
//! host, no other port, not this machine.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{Fault, instance::Instance, server};

/// The first address of a subnet that Azure gives to a machine: it keeps the first four and the
/// last (learn.microsoft.com, "Virtual Network FAQ").
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);

/// Where SSH servers listen (RFC 4253, section 4.1).
const SSH_PORT: u16 = 22;

/// The most that a connection on loopback may take: far above the microseconds that it does take.
const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// An instance's private address.
pub(super) fn private_address(number: usize) -> Ipv4Addr {
    let offset = u32::try_from(number).unwrap_or_default();
    Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits().saturating_add(offset))
}

/// The number of the instance that would have an address.
fn number_at(address: Ipv4Addr) -> Option<usize> {
    usize::try_from(address.to_bits().checked_sub(FIRST_ADDRESS.to_bits())?).ok()
}

/// All instances, by their numbers.
pub(super) struct Network {
    instances: Vec<Arc<Instance>>,
}

impl Network {
    pub(super) fn new(instances: Vec<Arc<Instance>>) -> Self {
        Self { instances }
    }

    pub(super) fn instances(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    /// Who listens at an address and port. The faults of a frontend port are not met on this way.
    fn listener(&self, host: &str, port: u32) -> Option<&Arc<Instance>> {
        let address = host.parse().ok().filter(|_| port == u32::from(SSH_PORT))?;
        let instance = self.instances.get(number_at(address)?)?;
        // `refuse` is a machine without an SSH server, whoever asks.
        (instance.fault != Some(Fault::Refuse)).then_some(instance)
    }

    /// A connection from one instance to what listens at an address and port.
    pub(super) async fn dial(&self, from: usize, host: &str, port: u32) -> io::Result<TcpStream> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let to = self.listener(host, port).ok_or_else(refused)?;
        let place = to.place().ok_or_else(refused)?;
        let joined = timeout(JOIN_LIMIT, join()).await;
        let (near, far) = joined.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (from, to_address) = (private_address(from), private_address(to.number));
        let ends = format!("{from} {} {to_address} {SSH_PORT}", near.local_addr()?.port());
        tokio::spawn(server::serve(Arc::clone(to), far, ends, place));
        Ok(near)
    }
}

/// Two ends of a connection, both held here. TCP, as a server's connections are.
async fn join() -> io::Result<(TcpStream, TcpStream)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(u32::try_from(server::RECEIVE_BUFFER).unwrap_or(u32::MAX))?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(1)?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    let own = near.local_addr()?;
    near.set_nodelay(true)?;
    loop {
        // Another program may have found the port in between: it is hung up on.
        let (far, peer) = listener.accept().await?;
        if peer == own {
            return Ok((near, far));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_numbers_belong_together() {
        assert_eq!(private_address(1).to_string(), "10.0.0.5");
        for number in [0, 1, 251, 252, 999] {
            assert_eq!(number_at(private_address(number)), Some(number));
        }
        for none in [Ipv4Addr::new(10, 0, 0, 3), Ipv4Addr::UNSPECIFIED] {
            assert_eq!(number_at(none), None);
        }
        // Far outside of any lab.
        assert!(number_at(Ipv4Addr::LOCALHOST) > Some(1_000_000));
    }
}
