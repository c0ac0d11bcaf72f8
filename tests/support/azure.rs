//! A stand-in for Azure that serves documents, and the program asking it.

use std::process::Command;

use serde_json::Value;
use tokio::runtime::Runtime;
use vmssh::lab::azure::{AzureRequest, AzureServer, World};

use crate::{
    network::{Documents, SUBSCRIPTION},
    vmssh_binary::{Ran, Surroundings},
    way::Shown,
};

/// A served world. The server runs on threads of its own while the program is waited for.
pub(crate) struct StandIn {
    pub(crate) here: Surroundings,
    pub(crate) server: AzureServer,
    subscription: String,
    _runtime: Runtime,
}

impl StandIn {
    /// Serves a world with faults, as `vmssh lab up --azure-fault` takes them.
    pub(crate) fn new(world: World, faults: &[&str]) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        let subscription = world.subscription().to_owned();
        let server = runtime.block_on(AzureServer::start(world, faults)).unwrap();
        Self { here: Surroundings::new(), server, subscription, _runtime: runtime }
    }

    /// The program with the variables that lead it here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.here.command(arguments);
        command
            .env("AZURE_RESOURCE_MANAGER_ENDPOINT", self.server.endpoint())
            .env("IDENTITY_ENDPOINT", self.server.identity_endpoint())
            .env("IDENTITY_HEADER", self.server.identity_header())
            .env("AZURE_SUBSCRIPTION_ID", &self.subscription);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// The map of a target.
    #[track_caller]
    pub(crate) fn map(&self, target: &str) -> Shown {
        let ran = self.run(&["map", target, "-o", "json"]).expect_status(0);
        Shown::of(ran.json_lines().remove(0))
    }

    /// What was asked of the Resource Manager: paths without the subscription, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        let of_arm = |request: &AzureRequest| !request.path.starts_with("/msi/");
        let short = |request: AzureRequest| request.path.rsplit('/').next().unwrap().to_owned();
        self.server.requests().into_iter().filter(of_arm).map(short).collect()
    }
}

/// Everything that Azure would answer about a made-up network, in pages of so many items.
pub(crate) fn world(documents: &Documents, page_size: usize) -> World {
    let mut world = World::new(SUBSCRIPTION);
    for (path, document) in &documents.resources {
        world = world.document(path, document.clone());
    }
    for (path, items) in &documents.lists {
        world = world.list(path, items.clone(), page_size);
    }
    for kind in ["Microsoft.Compute/virtualMachineScaleSets", "Microsoft.Network/loadBalancers"] {
        let of_kind = |path: &str| {
            let parent = path.rsplit_once('/').map(|(parent, _)| parent.to_lowercase());
            parent.is_some_and(|parent| parent.ends_with(&format!("/providers/{kind}").to_lowercase()))
        };
        let items: Vec<Value> =
            documents.resources.iter().filter(|(path, _)| of_kind(path)).map(|(_, d)| d.clone()).collect();
        world = world.list(&format!("/subscriptions/{SUBSCRIPTION}/providers/{kind}"), items, page_size);
    }
    world
}
