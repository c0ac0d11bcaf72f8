//! `queryInboundNatRulePortMapping`.

use std::time::Duration;

use serde_json::json;

use super::{Rig, World};

/// A load balancer with one NAT rule of version 2 over a pool, and the card of its one member.
fn version_2() -> World {
    let group = "/subscriptions/s/resourceGroups/g/providers";
    let balancer = format!("{group}/Microsoft.Network/loadBalancers/lb");
    let card = format!("{group}/Microsoft.Network/networkInterfaces/n");
    let configuration = format!("{card}/ipConfigurations/c");
    let pool = json!({
        "name": "p", "id": format!("{balancer}/backendAddressPools/p"),
        "properties": {"loadBalancerBackendAddresses": [
            {"name": "m", "properties": {
                "networkInterfaceIPConfiguration": {"id": configuration},
                "inboundNatRulesPortMapping": [{"inboundNatRuleName": "r", "frontendPort": 50001, "backendPort": 22}],
            }},
            {"name": "i", "properties": {
                "ipAddress": "10.0.0.9",
                "inboundNatRulesPortMapping": [{"inboundNatRuleName": "r", "frontendPort": 50002, "backendPort": 22}],
            }},
        ]},
    });
    let rule = json!({"name": "r", "id": format!("{balancer}/inboundNatRules/r"), "properties": {"protocol": "Tcp"}});
    let addresses =
        json!([{"name": "c", "id": configuration, "properties": {"privateIPAddress": "10.0.0.4"}}]);
    World::new("s")
        .document(
            &balancer,
            json!({"name": "lb", "id": balancer, "properties": {
                "backendAddressPools": [pool], "inboundNatRules": [rule],
            }}),
        )
        .document(&card, json!({"name": "n", "id": card, "properties": {"ipConfigurations": addresses}}))
}

const QUERY: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/loadBalancers/lb\
                     /backendAddressPools/p/queryInboundNatRulePortMapping?api-version=1";

#[tokio::test]
async fn port_mappings_are_told_by_address_and_by_configuration() {
    let rig = Rig::new(version_2(), &[]).await;
    let mapping = |port: u16| json!([{"inboundNatRuleName": "r", "protocol": "Tcp", "frontendPort": port, "backendPort": 22}]);
    let id = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/networkInterfaces/n/ipConfigurations/c";
    for (wish, expected) in [
        (json!({"ipAddress": "10.0.0.4"}), mapping(50001)),
        (json!({"ipAddress": "10.0.0.9"}), mapping(50002)),
        (json!({"ipConfiguration": {"id": id}}), mapping(50001)),
        (json!({"ipAddress": "10.0.0.7"}), json!([])),
    ] {
        assert_eq!(
            rig.post(QUERY, &wish).await.json(),
            json!({"inboundNatRulePortMappings": expected}),
            "{wish}"
        );
    }
    assert_eq!(rig.post(QUERY, &json!({})).await.error(), (400, "InvalidRequestContent".into()));
    assert_eq!(rig.try_send("POST", QUERY, "{").await.unwrap().status, 400);
    assert_eq!(rig.get(QUERY).await.error(), (405, "MethodNotAllowed".into()));
    let unknown = rig.post(&QUERY.replace("/p/", "/q/"), &json!({})).await;
    assert_eq!(unknown.error(), (404, "ResourceNotFound".into()));
}

#[tokio::test]
async fn port_mappings_come_later_where_the_world_says_so() {
    let rig = Rig::new(version_2().mappings_later(1, Duration::from_secs(7)), &[]).await;
    let mut reply = rig.post(QUERY, &json!({"ipAddress": "10.0.0.4"})).await;
    for _ in 0..2 {
        assert_eq!((reply.status, reply.header("retry-after")), (202, Some("7")));
        reply = rig.get(reply.header("location").unwrap()).await;
    }
    assert_eq!(reply.json()["inboundNatRulePortMappings"][0]["frontendPort"], 50001);
}
