//! The lab: a scale set on loopback, to try things on, to show them and to test against.
//!
//! A NAT frontend with one real port per instance, an SSH server per instance that runs commands and takes
//! files in a scratch folder of its own and leads to the private addresses of the others, the documents that `az` would print about it, and faults to
//! switch on. What it shows must be what the real thing does. It is no isolation: commands run as
//! the user that started the lab and see the whole machine.
//!
//! Reachable on 127.0.0.1 only, and only with the key made for the run.

pub mod azure;
mod command;
mod console;
mod error;
mod fault;
mod files;
mod frontend;
mod handler;
mod home;
mod host_key;
mod instance;
mod line;
mod network;
mod process;
#[cfg(unix)]
mod pty;
mod server;
#[cfg(unix)]
mod sftp;
mod socket;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use socket2::SockRef;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use azure::{AzureFaultSpec, AzureServer};
pub use error::LabError;
pub use fault::{Fault, FaultError, FaultSpec};
use files::Folder;
use frontend::Port;
use home::{computer_name, home, name};
use host_key::{HostKey, new_key};
use instance::Instance;
use network::{Network, private_address};
use process::Processes;

use crate::natmap::{Entry, InstanceId, NatMap, Rule, Via};

/// The most instances of a lab: those of a scale set (Azure's limit for Uniform ones).
const MAX_INSTANCES: usize = 1000;

/// The only user that can sign in.
const USER: &str = "azureuser";

/// File handles beside one listener per instance that a lab can't do without: the program's own
/// and a few sessions (one handle each at either end, four for a command's pipes and process).
const SPARE_HANDLES: u64 = 64;

/// File handles asked for per instance: a listener, both ends of a session, a command, in use at
/// once in a fan-out over all.
const HANDLES_PER_INSTANCE: u64 = 8;

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// How many instances, 1 to 1000; their ids are 0, 1, 2, ...
    pub instances: usize,
    /// What is wrong with which of them; where two name one instance, the later holds.
    pub faults: Vec<FaultSpec>,
    /// The first frontend port; `None` for any place with room.
    pub base_port: Option<u16>,
    /// Whether a simulated Azure answers for the lab, and what is wrong with it.
    pub azure: Option<Vec<AzureFaultSpec>>,
    /// Where the lab's private folder is made.
    pub state_dir: PathBuf,
}

/// A running lab. Dropping it ends everything: ports, sessions, commands and what they started,
/// scratch folders, keys.
#[derive(Debug)]
pub struct Lab {
    map: NatMap,
    vm_ids: Vec<String>,
    consoles: Vec<String>,
    public_key: String,
    azure: Option<AzureServer>,
    folder: Folder,
    running: Running,
}

/// The parts that run. Stopped before the folder goes.
struct Running {
    end: CancellationToken,
    processes: Arc<Processes>,
    /// All instances, those without an open port too: they know each other through this.
    network: Option<Arc<Network>>,
    listeners: Vec<Arc<TcpListener>>,
    /// Ports that answer nothing or refuse.
    _dead_ports: Vec<Port>,
    /// One task per port that accepts; ended with this.
    accepting: JoinSet<()>,
}

impl Lab {
    /// Starts a lab on the current tokio runtime. Its ports answer when this returns.
    ///
    /// # Errors
    /// When the options contradict themselves, or ports, file handles or the folder can't be had.
    pub async fn start(options: LabOptions) -> Result<Self, LabError> {
        let faults = faults(&options)?;
        raise_handle_limit(options.instances)?;
        let folder = Folder::make(&options.state_dir)?;
        let (ports, opened): (Vec<u16>, Vec<Port>) =
            frontend::open(&faults, options.base_port)?.into_iter().unzip();
        let map = map(&ports)?;
        let key = new_key()?;
        let host_keys = faults.iter().map(|fault| HostKey::new(*fault)).collect::<Result<Vec<_>, _>>()?;
        let listed: Vec<_> = host_keys.iter().map(|key| key.listed.clone()).collect();
        let vm_ids: Vec<_> = ports.iter().map(|_| azure::guid()).collect();
        let names: Vec<_> =
            ports.iter().zip(&vm_ids).map(|(port, vm_id)| format!("[127.0.0.1]:{port},{vm_id}")).collect();
        folder.fill(&key, &names, &listed)?;
        let public_key = key.public_key().to_openssh().map_err(LabError::key)?;
        // What an instance printed at its first start; one with another key was not that one.
        let consoles: Vec<_> =
            (0..).zip(&listed).map(|(number, key)| console::log(&computer_name(number), key)).collect();
        let azure = match options.azure {
            Some(faults) => {
                let description =
                    azure::Description { ports: &ports, vm_ids: &vm_ids, public_key: &public_key };
                let world = azure::world_of(description).consoles(&azure::instance_ids(&consoles));
                Some(AzureServer::start(world, faults).await.map_err(LabError::Ports)?)
            }
            None => None,
        };

        let accepted_key = Arc::new(key.public_key().key_data().clone());
        let mut running = Running::new();
        let network = Arc::new_cyclic(|network| {
            let hosts = faults.into_iter().zip(host_keys).enumerate();
            let instance = |(number, (fault, host_key)): (usize, (Option<Fault>, HostKey))| Instance {
                number,
                config: Arc::new(server::config(host_key.served)),
                fault,
                home: home(&folder, number),
                accepted_key: Arc::clone(&accepted_key),
                processes: Arc::clone(&running.processes),
                end: running.end.clone(),
                network: Weak::clone(network),
                room: Instance::room(),
            };
            Network::new(hosts.map(instance).map(Arc::new).collect())
        });
        for (instance, port) in network.instances().iter().zip(opened) {
            running.add(instance, port)?;
        }
        running.network = Some(network);
        Ok(Self { map, vm_ids, consoles, public_key, azure, folder, running })
    }

    /// The NAT map, as it would come from Azure.
    #[must_use]
    pub fn map(&self) -> &NatMap {
        &self.map
    }

    /// The only user that can sign in.
    #[must_use]
    pub fn user(&self) -> &str {
        USER
    }

    /// The only key that can sign in: an OpenSSH private key without a pass phrase.
    #[must_use]
    pub fn key_file(&self) -> &Path {
        &self.folder.key
    }

    /// The host keys of all instances. For one with the fault `hostkey` it is the key that the
    /// instance seems to have had before.
    #[must_use]
    pub fn known_hosts_file(&self) -> &Path {
        &self.folder.known_hosts
    }

    /// What an instance has printed on its serial console.
    #[must_use]
    pub fn console_log(&self, instance: &InstanceId) -> Option<&str> {
        let number = usize::try_from(instance.number()?).ok()?;
        self.consoles.get(number).map(String::as_str)
    }

    /// Writes what `az` would print about the lab: [`Lab::connection_info_file`],
    /// [`Lab::nat_pool_file`] and what is in [`Lab::azure_folder`]. Not done by itself: for a
    /// thousand instances they are 8 MB, and most labs need none of them.
    ///
    /// # Errors
    /// When they can't be written, or are written already.
    pub fn write_documents(&self) -> Result<(), LabError> {
        if let Some(azure) = &self.azure {
            return self.folder.write_documents(azure.world());
        }
        let ports: Vec<_> = self.map.entries.iter().map(|entry| entry.port.get()).collect();
        let description =
            azure::Description { ports: &ports, vm_ids: &self.vm_ids, public_key: &self.public_key };
        self.folder.write_documents(&azure::world_of(description))
    }

    /// What `az vmss list-instance-connection-info` would print about the lab, once
    /// [`Lab::write_documents`] wrote it.
    #[must_use]
    pub fn connection_info_file(&self) -> &Path {
        &self.folder.connection_info
    }

    /// What `az network lb inbound-nat-pool show` would print about the lab, once
    /// [`Lab::write_documents`] wrote it.
    #[must_use]
    pub fn nat_pool_file(&self) -> &Path {
        &self.folder.nat_pool
    }

    /// A folder with what `az` would print about the lab's parts: `vmss-show.json`,
    /// `vmss-list-instances.json` (with instance views), `vmss-nic-list.json`, `lb-show.json`,
    /// `public-ip-show.json` and `nsg-show.json`; once [`Lab::write_documents`] wrote it.
    #[must_use]
    pub fn azure_folder(&self) -> &Path {
        &self.folder.azure
    }

    /// The simulated Azure that answers for the lab, if [`LabOptions::azure`] asked for one.
    #[must_use]
    pub fn azure(&self) -> Option<&AzureServer> {
        self.azure.as_ref()
    }

    /// The resource group and the scale set's name in the lab's Azure.
    #[must_use]
    pub fn group_and_name(&self) -> (&str, &str) {
        (azure::GROUP, azure::SCALE_SET)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.running.stop();
        self.running.processes.end_all(self.folder.path());
    }
}

impl Running {
    fn new() -> Self {
        Self {
            end: CancellationToken::new(),
            processes: Arc::default(),
            network: None,
            listeners: Vec::new(),
            _dead_ports: Vec::new(),
            accepting: JoinSet::new(),
        }
    }

    fn add(&mut self, instance: &Arc<Instance>, port: Port) -> Result<(), LabError> {
        match port {
            Port::Open(listener) => {
                let listener = Arc::new(TcpListener::from_std(listener).map_err(LabError::Ports)?);
                self.listeners.push(Arc::clone(&listener));
                self.accepting.spawn(server::accept(Arc::clone(instance), listener));
            }
            dead => self._dead_ports.push(dead),
        }
        Ok(())
    }

    /// Closes the ports at once; connections and commands follow as their tasks get to run.
    fn stop(&self) {
        self.end.cancel();
        for listener in &self.listeners {
            // Ends the listening even before its task has let go of it. Where a system knows no
            // such thing, the end of the task does it.
            let _ = SockRef::from(&**listener).shutdown(std::net::Shutdown::Both);
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("listeners", &self.listeners.len()).finish_non_exhaustive()
    }
}

/// The fault of each instance.
fn faults(options: &LabOptions) -> Result<Vec<Option<Fault>>, LabError> {
    if !(1..=MAX_INSTANCES).contains(&options.instances) {
        return Err(LabError::Instances(options.instances));
    }
    let last = options.instances - 1;
    match options.faults.iter().map(FaultSpec::last).max() {
        Some(wanted) if wanted > last => Err(LabError::NoSuchInstance { wanted, last }),
        _ => Ok((0..options.instances).map(|k| FaultSpec::of(&options.faults, k)).collect()),
    }
}

/// Not `net::descriptors`: there what does not fit waits its turn, while a lab whose listeners don't fit
/// must not start; and the lab is the other side of `net`'s work, so it stands without it.
fn raise_handle_limit(instances: usize) -> Result<(), LabError> {
    let count = instances as u64;
    let needed = count + SPARE_HANDLES;
    let limit = rlimit::increase_nofile_limit(count * HANDLES_PER_INSTANCE + SPARE_HANDLES);
    match limit {
        Ok(limit) if limit < needed => Err(LabError::FileHandles { instances, needed, limit }),
        // Where the limit can't even be read, opening the ports will tell.
        _ => Ok(()),
    }
}

fn map(ports: &[u16]) -> Result<NatMap, LabError> {
    let entry = |(number, port): (usize, &u16)| {
        let address = crate::natmap::Host::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        let port = u64::from(*port).try_into()?;
        Ok(Entry {
            backend_port: Some(22_u64.try_into()?),
            rule: Rule { pool: Some("ssh".into()), ..Rule::default() },
            ..Entry::new(Some(InstanceId::from(number)), Some(address), port, Via::NatPool)
        })
    };
    let entries = ports.iter().enumerate().map(entry).collect::<Result<_, LabError>>()?;
    let mut map = NatMap::from_entries(entries);
    for (number, instance) in map.instances.iter_mut().enumerate() {
        instance.name = Some(name(number));
        instance.private_addresses = vec![private_address(number).into()];
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_options_say_what_is_wrong() {
        let error = |instances, faults: &[&str]| {
            let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
            let options =
                LabOptions { instances, faults, base_port: None, azure: None, state_dir: PathBuf::new() };
            super::faults(&options).unwrap_err().to_string()
        };
        assert_eq!(error(0, &[]), "a lab has 1 to 1000 instances, not 0");
        assert_eq!(error(1001, &[]), "a lab has 1 to 1000 instances, not 1001");
        assert_eq!(error(4, &["0=drop", "2-4=slow"]), "there is no instance 4 to be faulty; there are 0-3");
    }
}
