//! The documents that Azure would answer with for a made-up network.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Kind, Machines, Member, Network, SUBSCRIPTION, Subnet, spelling::Document};

/// What Azure answers: single resources and lists, by the path of the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Documents {
    pub(crate) resources: BTreeMap<String, Value>,
    pub(crate) lists: BTreeMap<String, Vec<Value>>,
}

/// A value that must never be in what the program writes.
pub(crate) const SECRET: &str = "do-not-keep-this";

fn id(group: &str, kind: &str, name: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{kind}/{name}")
}

pub(super) fn network(group: &str, kind: &str, name: &str) -> String {
    id(group, &format!("Microsoft.Network/{kind}"), name)
}

impl Network {
    /// A reference to a resource, in whichever case this network has.
    pub(super) fn reference(&self, id: &str) -> Value {
        if !self.odd_case {
            return json!({ "id": id });
        }
        let odd = id.replace("/resourceGroups/", "/resourcegroups/").replace("prod-rg", "PROD-RG");
        json!({ "id": odd.replace("Microsoft.", "microsoft.") })
    }

    pub(crate) fn set_id(&self, set: usize) -> String {
        let set = &self.sets[set];
        id(&set.group, "Microsoft.Compute/virtualMachineScaleSets", &set.name)
    }

    pub(crate) fn balancer_id(&self, at: usize) -> String {
        let balancer = &self.balancers[at];
        network(&balancer.group, "loadBalancers", &balancer.name)
    }

    pub(crate) fn machine_id(&self, member: Member) -> String {
        let set = &self.sets[member.set];
        let own = &self.instance(member).id;
        match set.kind {
            Kind::Uniform => format!("{}/virtualMachines/{own}", self.set_id(member.set)),
            Kind::Flexible | Kind::Alone => id(&set.group, "Microsoft.Compute/virtualMachines", own),
        }
    }

    pub(crate) fn card_id(&self, member: Member) -> String {
        let set = &self.sets[member.set];
        let card = &set.cards[member.card].name;
        match set.kind {
            Kind::Uniform => format!("{}/networkInterfaces/{card}", self.machine_id(member)),
            // Another text than the machine's name, as Azure's own are.
            Kind::Flexible | Kind::Alone => {
                let name = format!("{card}-{:08x}", 0xc0de_0000 + member.set * 256 + member.instance);
                network(&set.card_group, "networkInterfaces", &name)
            }
        }
    }

    pub(crate) fn configuration_id(&self, member: Member) -> String {
        format!("{}/ipConfigurations/{}", self.card_id(member), self.configuration(member).name)
    }

    /// All documents.
    pub(crate) fn documents(&self) -> Documents {
        let mut documents = Documents::default();
        for (at, set) in self.sets.iter().enumerate() {
            self.machines(at, set, &mut documents);
        }
        for (at, balancer) in self.balancers.iter().enumerate() {
            documents.resources.insert(self.balancer_id(at), self.balancer(at, balancer));
            for frontend in balancer.frontends.iter().filter(|frontend| !frontend.internal) {
                let name = format!("{}-{}-ip", balancer.name, frontend.name);
                let own = network(&balancer.group, "publicIPAddresses", &name);
                let user = format!("{}/frontendIPConfigurations/{}", self.balancer_id(at), frontend.name);
                let public = self.public_address(&own, frontend.address.as_deref(), &user);
                documents.resources.insert(own, public);
            }
        }
        for group in &self.groups {
            let own = network(&group.group, "networkSecurityGroups", &group.name);
            documents.resources.insert(own.clone(), security_group(&own, &group.rules));
        }
        for subnet in &self.subnets {
            let own = subnet_id(subnet);
            let mut properties = json!({"addressPrefix": "10.0.0.0/16"});
            if let Some(group) = &subnet.security_group {
                let group = network(&subnet.group, "networkSecurityGroups", group);
                properties["networkSecurityGroup"] = self.reference(&group);
            }
            documents
                .resources
                .insert(own.clone(), json!({"id": own, "name": subnet.name, "properties": properties}));
        }
        documents
    }

    fn machines(&self, at: usize, set: &Machines, documents: &mut Documents) {
        let of_set = |member: &Member| member.set == at && !self.instance(*member).gone;
        let first = |member: &Member| member.card == 0 && member.configuration == 0;
        let members: Vec<_> = self.members().into_iter().filter(of_set).collect();
        let machines: Vec<_> = members.iter().filter(|m| first(m)).map(|m| self.machine(*m)).collect();
        let cards: Vec<_> = members.iter().filter(|m| m.configuration == 0).map(|m| self.card(*m)).collect();
        let own: Vec<_> = members.iter().filter_map(|m| self.own_public(*m)).collect();
        if set.kind != Kind::Alone {
            documents.resources.insert(self.set_id(at), self.scale_set(at, set));
        }
        if set.kind == Kind::Uniform {
            let below = self.set_id(at);
            documents.lists.insert(format!("{below}/virtualMachines"), machines);
            documents.lists.insert(format!("{below}/networkInterfaces"), cards);
            documents.lists.insert(format!("{below}/publicipaddresses"), own);
            return;
        }
        let mut add = |group: &str, kind: &str, items: Vec<Value>| {
            let path = id(group, kind, "");
            let path = path.trim_end_matches('/').to_owned();
            documents.lists.entry(path).or_default().extend(items);
        };
        add(&set.group, "Microsoft.Compute/virtualMachines", machines);
        add(&set.card_group, "Microsoft.Network/networkInterfaces", cards);
        for public in own {
            documents.resources.insert(public["id"].as_str().unwrap().to_owned(), public);
        }
    }

    fn scale_set(&self, at: usize, set: &Machines) -> Value {
        let cards: Vec<_> = set
            .cards
            .iter()
            .map(|card| {
                let configurations: Vec<_> = card.configurations.iter().map(|c| self.model(set, c)).collect();
                let mut properties = json!({"primary": card.primary, "ipConfigurations": configurations});
                if let Some(group) = &card.security_group {
                    let group = network(&set.group, "networkSecurityGroups", group);
                    properties["networkSecurityGroup"] = self.reference(&group);
                }
                json!({"name": card.name, "properties": properties})
            })
            .collect();
        let flexible = set.kind == Kind::Flexible;
        let there = set.instances.iter().filter(|instance| !instance.gone).count();
        json!({
            "id": self.set_id(at), "name": set.name, "type": "Microsoft.Compute/virtualMachineScaleSets",
            "tags": {"owner": SECRET}, "sku": {"name": "Standard_D2s_v5", "capacity": there},
            "properties": {
                "orchestrationMode": if flexible { "Flexible" } else { "Uniform" },
                "overprovision": set.overprovision,
                "virtualMachineProfile": {
                    "osProfile": {
                        "computerNamePrefix": set.name, "adminUsername": "azureuser", "adminPassword": SECRET,
                        "customData": SECRET,
                        "linuxConfiguration": {"ssh": {"publicKeys": [{"path": "/home/azureuser", "keyData": SECRET}]}},
                    },
                    "storageProfile": {"osDisk": {"osType": if set.windows { "Windows" } else { "Linux" }}},
                    "networkProfile": {"networkInterfaceConfigurations": cards},
                },
            },
        })
    }

    fn model(&self, set: &Machines, configuration: &super::Configuration) -> Value {
        let below = |(at, place): &(usize, usize), kind: &str| {
            let balancer = &self.balancers[*at];
            let name = match kind {
                "inboundNatPools" => &balancer.nat_pools[*place].to.name,
                _ => &balancer.backend_pools[*place].name,
            };
            self.reference(&format!("{}/{kind}/{name}", self.balancer_id(*at)))
        };
        let backend: Vec<_> =
            configuration.backend_pools.iter().map(|p| below(p, "backendAddressPools")).collect();
        let nat: Vec<_> = configuration.nat_pools.iter().map(|p| below(p, "inboundNatPools")).collect();
        let mut properties = json!({
            "subnet": self.reference(&self.subnet_of(&set.group, configuration)),
            "loadBalancerBackendAddressPools": backend, "loadBalancerInboundNatPools": nat,
        });
        if configuration.public.is_some() {
            properties["publicIPAddressConfiguration"] = json!({"name": "own", "properties": {}});
        }
        json!({"name": configuration.name, "properties": properties})
    }

    fn subnet_of(&self, group: &str, configuration: &super::Configuration) -> String {
        let network = network(group, "virtualNetworks", &configuration.network);
        format!("{network}/subnets/{}", configuration.subnet)
    }

    fn machine(&self, member: Member) -> Value {
        let set = &self.sets[member.set];
        let instance = self.instance(member);
        let cards: Vec<_> = (0..set.cards.len())
            .map(|card| self.reference(&self.card_id(Member { card, ..member })))
            .collect();
        let mut properties = json!({
            "vmId": format!("00000000-0000-4000-8000-{:06x}{:06x}", member.set, member.instance),
            "osProfile": {"computerName": self.computer_name(member), "adminPassword": SECRET, "customData": SECRET},
            "networkProfile": {"networkInterfaces": cards},
            "instanceView": {"statuses": [
                {"code": "ProvisioningState/succeeded"}, {"code": format!("PowerState/{}", instance.power)},
            ]},
        });
        let (own, name) = (self.machine_id(member), self.machine_name(member));
        match set.kind {
            Kind::Uniform => {
                properties["latestModelApplied"] = instance.current.into();
                return json!({"id": own, "name": name, "instanceId": instance.id, "tags": {"owner": SECRET}, "properties": properties});
            }
            Kind::Flexible => properties["virtualMachineScaleSet"] = self.reference(&self.set_id(member.set)),
            Kind::Alone => {}
        }
        json!({"id": own, "name": name, "tags": {"owner": SECRET}, "properties": properties})
    }

    fn card(&self, member: Member) -> Value {
        let set = &self.sets[member.set];
        let card = &set.cards[member.card];
        let configurations: Vec<_> = (0..card.configurations.len())
            .map(|configuration| self.card_configuration(Member { configuration, ..member }))
            .collect();
        let mut properties = json!({
            "primary": card.primary, "ipConfigurations": configurations,
            "virtualMachine": self.reference(&self.machine_id(member)),
        });
        if let Some(group) = &card.security_group {
            let group = network(&set.group, "networkSecurityGroups", group);
            properties["networkSecurityGroup"] = self.reference(&group);
        }
        let own = self.card_id(member);
        let name = own.rsplit('/').next().unwrap().to_owned();
        json!({"id": own, "name": name, "properties": properties})
    }

    fn card_configuration(&self, member: Member) -> Value {
        let configuration = self.configuration(member);
        let group = &self.sets[member.set].group;
        let mut properties = json!({
            "primary": member.configuration == 0, "privateIPAddress": self.private_address(member),
            "subnet": self.reference(&self.subnet_of(group, configuration)),
        });
        if let Some(public) = self.own_public(member) {
            properties["publicIPAddress"] = self.reference(public["id"].as_str().unwrap());
        }
        json!({"id": self.configuration_id(member), "name": configuration.name, "properties": properties})
    }

    fn own_public(&self, member: Member) -> Option<Value> {
        let assigned = self.configuration(member).public?;
        let name = self.own_address_name(member);
        let own = match self.sets[member.set].kind {
            Kind::Uniform => format!("{}/publicIPAddresses/{name}", self.configuration_id(member)),
            Kind::Flexible | Kind::Alone => network(&self.sets[member.set].group, "publicIPAddresses", &name),
        };
        let address = assigned.then(|| self.own_public_address(member));
        Some(self.public_address(&own, address.as_deref(), &self.configuration_id(member)))
    }

    fn public_address(&self, own: &str, address: Option<&str>, user: &str) -> Value {
        let name = own.rsplit('/').next().unwrap();
        let mut properties = json!({"idleTimeoutInMinutes": 4, "ipConfiguration": self.reference(user)});
        if let Some(address) = address {
            properties["ipAddress"] = address.into();
        }
        json!({"id": own, "name": name, "sku": {"name": "Standard"}, "properties": properties})
    }

    /// The documents that a person saves for one set: the model, its instances and cards, all else that
    /// there is.
    pub(crate) fn saved(&self, set: usize) -> Vec<Document> {
        let documents = self.documents();
        let is_other_set = |path: &str| {
            let others = (0..self.sets.len()).filter(|other| *other != set).map(|other| self.set_id(other));
            let mut others = others.filter(|other| *other != self.set_id(set));
            others.any(|other| path == other || path.starts_with(&format!("{other}/")))
        };
        let resources = documents.resources.into_iter().filter(|(path, _)| !is_other_set(path));
        let lists =
            documents.lists.into_iter().filter(|(path, items)| !is_other_set(path) && !items.is_empty());
        resources
            .map(|(_, value)| Document::One(value))
            .chain(lists.map(|(_, items)| Document::List(items)))
            .collect()
    }
}

fn subnet_id(subnet: &Subnet) -> String {
    format!("{}/subnets/{}", network(&subnet.group, "virtualNetworks", &subnet.network), subnet.name)
}

fn security_group(own: &str, rules: &[(u32, bool, &str, &str)]) -> Value {
    let rule = |(priority, allows, source, ports): &(u32, bool, &str, &str)| {
        json!({"name": format!("rule-{priority}"), "properties": {
            "priority": priority, "direction": "Inbound", "access": if *allows { "Allow" } else { "Deny" },
            "protocol": "*", "sourceAddressPrefix": source, "sourcePortRange": "*",
            "destinationAddressPrefix": "*", "destinationPortRange": ports,
        }})
    };
    let defaults = [
        (65000, true, "VirtualNetwork", "*"),
        (65001, true, "AzureLoadBalancer", "*"),
        (65500, false, "*", "*"),
    ];
    json!({"id": own, "name": own.rsplit('/').next().unwrap(), "properties": {
        "securityRules": rules.iter().map(rule).collect::<Vec<_>>(),
        "defaultSecurityRules": defaults.iter().map(rule).collect::<Vec<_>>(),
    }})
}
