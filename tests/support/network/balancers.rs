//! The documents of load balancers.

use serde_json::{Value, json};

use super::{Balancer, Member, Network, SECRET, Translation, render::network};

impl Network {
    pub(super) fn balancer(&self, at: usize, balancer: &Balancer) -> Value {
        let own = self.balancer_id(at);
        let frontends: Vec<_> = balancer
            .frontends
            .iter()
            .map(|frontend| {
                let mut properties = json!({});
                if frontend.internal {
                    properties["subnet"] = self.reference(&network("prod-rg", "virtualNetworks", "net/subnets/front"));
                    if let Some(address) = &frontend.address {
                        properties["privateIPAddress"] = address.as_str().into();
                    }
                } else {
                    let name = format!("{}-{}-ip", balancer.name, frontend.name);
                    let public = network(&balancer.group, "publicIPAddresses", &name);
                    properties["publicIPAddress"] = self.reference(&public);
                }
                json!({"id": format!("{own}/frontendIPConfigurations/{}", frontend.name), "name": frontend.name, "properties": properties})
            })
            .collect();
        json!({
            "id": own, "name": balancer.name, "sku": {"name": balancer.sku}, "tags": {"owner": SECRET},
            "properties": {
                "frontendIPConfigurations": frontends,
                "backendAddressPools": self.backend_pools(at, balancer),
                "inboundNatPools": self.nat_pools(&own, balancer),
                "inboundNatRules": self.nat_rules(&own, balancer),
            },
        })
    }

    fn translation(&self, balancer_id: &str, balancer: &Balancer, to: &Translation) -> Value {
        let frontend = &balancer.frontends[to.frontend].name;
        json!({
            "frontendIPConfiguration": self.reference(&format!("{balancer_id}/frontendIPConfigurations/{frontend}")),
            "backendPort": to.backend_port, "protocol": if to.udp { "Udp" } else { "Tcp" },
            "idleTimeoutInMinutes": to.idle_minutes, "enableTcpReset": to.reset,
        })
    }

    fn nat_pools(&self, own: &str, balancer: &Balancer) -> Vec<Value> {
        let pool = |pool: &super::NatPool| {
            let mut properties = self.translation(own, balancer, &pool.to);
            properties["frontendPortRangeStart"] = pool.start.into();
            properties["frontendPortRangeEnd"] = pool.end.into();
            json!({"id": format!("{own}/inboundNatPools/{}", pool.to.name), "name": pool.to.name, "properties": properties})
        };
        balancer.nat_pools.iter().map(pool).collect()
    }

    fn nat_rules(&self, own: &str, balancer: &Balancer) -> Vec<Value> {
        let named = |name: &str, properties: Value| json!({"id": format!("{own}/inboundNatRules/{name}"), "name": name, "properties": properties});
        let mut rules = Vec::new();
        for pool in &balancer.nat_pools {
            for (member, port) in &pool.ports {
                let mut properties = self.translation(own, balancer, &pool.to);
                properties["frontendPort"] = (*port).into();
                properties["backendIPConfiguration"] = self.reference(&self.configuration_id(*member));
                rules.push(named(&self.pool_rule_name(&pool.to.name, *member), properties));
            }
        }
        for rule in &balancer.pool_rules {
            let mut properties = self.translation(own, balancer, &rule.to);
            let pool = &balancer.backend_pools[rule.backend_pool].name;
            properties["frontendPort"] = 0.into();
            properties["frontendPortRangeStart"] = rule.start.into();
            properties["frontendPortRangeEnd"] = rule.end.into();
            properties["backendAddressPool"] = self.reference(&format!("{own}/backendAddressPools/{pool}"));
            rules.push(named(&rule.to.name, properties));
        }
        for rule in &balancer.single_rules {
            let mut properties = self.translation(own, balancer, &rule.to);
            properties["frontendPort"] = rule.port.into();
            if let Some(member) = rule.target {
                properties["backendIPConfiguration"] = self.reference(&self.configuration_id(member));
            }
            rules.push(named(&rule.to.name, properties));
        }
        rules
    }

    fn backend_pools(&self, at: usize, balancer: &Balancer) -> Vec<Value> {
        let own = self.balancer_id(at);
        let pool = |(place, pool): (usize, &super::BackendPool)| {
            let has = |member: &Member| self.configuration(*member).backend_pools.contains(&(at, place));
            let still = |member: &Member| {
                let rules = balancer.pool_rules.iter().filter(|rule| rule.backend_pool == place);
                !self.instance(*member).gone || rules.flat_map(|rule| &rule.ports).any(|(m, _)| m == member)
            };
            let members = self.members().into_iter().filter(has).filter(still);
            let addresses: Vec<_> = members
                .map(|member| {
                    let mappings: Vec<_> = balancer
                        .pool_rules
                        .iter()
                        .filter(|rule| rule.backend_pool == place)
                        .flat_map(|rule| rule.ports.iter().map(move |port| (rule, port)))
                        .filter(|(_, (of, _))| *of == member)
                        .map(|(rule, (_, port))| json!({
                            "inboundNatRuleName": rule.to.name, "frontendPort": port, "backendPort": rule.to.backend_port,
                        }))
                        .collect();
                    json!({"name": "member", "properties": self.backend_address(member, pool.by_address, mappings)})
                })
                .collect();
            json!({
                "id": format!("{own}/backendAddressPools/{}", pool.name), "name": pool.name,
                "properties": {"loadBalancerBackendAddresses": addresses},
            })
        };
        balancer.backend_pools.iter().enumerate().map(pool).collect()
    }

    fn backend_address(&self, member: Member, by_address: Option<bool>, mappings: Vec<Value>) -> Value {
        let mut properties = json!({});
        match by_address {
            None => {
                properties["networkInterfaceIPConfiguration"] =
                    self.reference(&self.configuration_id(member));
            }
            Some(with_network) => {
                properties["ipAddress"] = self.private_address(member).into();
                if with_network {
                    let group = &self.sets[member.set].group;
                    let name = &self.configuration(member).network;
                    properties["virtualNetwork"] = self.reference(&network(group, "virtualNetworks", name));
                }
            }
        }
        // Azure leaves the member out where no rule applies.
        if !mappings.is_empty() {
            properties["inboundNatRulesPortMapping"] = mappings.into();
        }
        properties
    }
}
