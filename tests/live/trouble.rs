//! What goes wrong on the way, and what is said about it.

use crate::{
    network::{Balancer, Kind, Machines, Network},
    stand_in::{StandIn, world},
    way::Shown,
};

fn network() -> Network {
    let mut set = Machines::new(Kind::Uniform, "web", &["0", "5"]);
    set.configuration().nat_pools.push((0, 0));
    let balancer = Balancer::new("lb", "20.1.2.3").nat_pool("ssh", 50000, 50119, 22);
    Network { sets: vec![set], balancers: vec![balancer], ..Network::default() }.share_out(0)
}

fn azure(faults: &[&str]) -> StandIn {
    StandIn::new(world(&network().documents(), 100), faults)
}

/// The program fails with status 3, says all of this, prints nothing else and no secret.
#[track_caller]
fn expect(azure: &StandIn, arguments: &[&str], parts: &[&str]) {
    let ran = azure.run(arguments).expect_status(3);
    assert_eq!(ran.stdout, "");
    for part in parts {
        assert!(ran.stderr.contains(part), "no {part:?} in\n{}", ran.stderr);
    }
    assert!(ran.stderr.contains("hint:"), "no hint in\n{}", ran.stderr);
    for secret in [azure.server.identity_header(), "Bearer", "eyJ"] {
        assert!(!ran.stderr.contains(secret), "{secret} in\n{}", ran.stderr);
    }
}

#[test]
fn a_proxys_page_and_broken_json_are_named() {
    expect(
        &azure(&["html=virtualMachineScaleSets"]),
        &["map", "prod-rg/web"],
        &["the scale set", "not ARM's", "html"],
    );
    expect(&azure(&["broken=loadBalancers"]), &["map", "prod-rg/web"], &["load balancer lb", "JSON"]);
}

#[test]
fn a_missing_right_is_named() {
    let azure_without = azure(&["forbidden=loadBalancers"]);
    let ran = azure_without.run(&["map", "prod-rg/web", "-o", "json"]).expect_status(3);
    for part in ["no right to", "Microsoft.Network/loadBalancers/read", "Reader"] {
        assert!(ran.stderr.contains(part), "no {part:?} in\n{}", ran.stderr);
    }
    // What is known is shown all the same.
    let shown = Shown::of(ran.json_lines().remove(0));
    assert_eq!((shown.ways.len(), shown.document["instances"].as_array().unwrap().len()), (0, 2));
    assert!(shown.codes().contains(&"not-read"), "{:?}", shown.codes());
    let nobody = azure_without.run(&["probe", "prod-rg/web"]).expect_status(3);
    assert_eq!(nobody.stdout, "");
    let parts = ["no right to", "Microsoft.Compute/virtualMachineScaleSets/read"];
    expect(&azure(&["forbidden=virtualMachineScaleSets"]), &["map", "prod-rg/web"], &parts);
}

#[test]
fn what_only_findings_need_may_be_refused() {
    let shown = azure(&["forbidden=networkInterfaces"]).map("prod-rg/web");
    assert_eq!(shown.ways.len(), 2);
    assert!(shown.codes().contains(&"not-read"), "{:?}", shown.codes());
}

#[test]
fn what_only_enriches_the_map_does_not_end_it() {
    for fault in ["unavailable=1s,networkInterfaces", "throttle=900s,subnets"] {
        // Without a number of times it goes on for ever.
        let shown = azure(&[fault, "throttle=900s,networkSecurityGroups"]).map("prod-rg/web");
        assert_eq!(shown.ways.len(), 2, "{fault}");
    }
}

#[test]
fn an_expired_token_is_made_anew_once() {
    assert_eq!(azure(&["expired=1x"]).map("prod-rg/web").ways.len(), 2);
    expect(&azure(&["expired"]), &["map", "prod-rg/web"], &["not accepted", "ExpiredAuthenticationToken"]);
}

#[test]
fn a_dropped_connection_is_tried_again() {
    assert_eq!(azure(&["drop=1x,loadBalancers"]).map("prod-rg/web").ways.len(), 2);
}

#[test]
fn throttling_without_end_is_given_up() {
    let azure = azure(&["throttle=900s,loadBalancers"]);
    expect(&azure, &["map", "prod-rg/web"], &["load balancer lb", "429", "900 s"]);
}

#[test]
fn names_that_may_have_been_meant_are_shown() {
    let azure = azure(&[]);
    expect(&azure, &["map", "prod-rg/wbe"], &["does not exist", "there is prod-rg/web"]);
    expect(&azure, &["map", "test-rg/web"], &["does not exist", "there is prod-rg/web"]);
}

#[test]
fn nobody_there_and_an_unknown_subscription_are_told_apart() {
    let azure = azure(&[]);
    let target =
        "/subscriptions/1/resourceGroups/prod-rg/providers/Microsoft.Compute/virtualMachineScaleSets/web";
    expect(&azure, &["map", target], &["subscription"]);
    // A port that was just closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = |endpoint: &str| {
        let mut command = azure.command(&["map", "prod-rg/web"]);
        command.env("AZURE_RESOURCE_MANAGER_ENDPOINT", endpoint).output().unwrap()
    };
    let refused = run(&format!("http://{closed}"));
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("refuses the connection"), "{refused:?}");
    // A token does not cross the network in clear text: this is refused before anything is sent.
    let plain = run("http://192.0.2.1:80");
    assert_eq!(plain.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&plain.stderr).contains("plain http"), "{plain:?}");
}

#[test]
fn the_subscription_has_to_be_known() {
    let azure = azure(&[]);
    let output = azure.command(&["map", "prod-rg/web"]).env_remove("AZURE_SUBSCRIPTION_ID").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--subscription"), "{output:?}");
    // The Azure CLI's default is in its profile, with a byte order mark.
    let folder = azure.here.home.path().join(".azure");
    std::fs::create_dir(&folder).unwrap();
    let profile = format!(
        "\u{feff}{{\"subscriptions\": [{{\"id\": \"{}\", \"name\": \"Prod\", \"isDefault\": true, \"environmentName\": \"AzureCloud\"}}]}}",
        crate::network::SUBSCRIPTION
    );
    std::fs::write(folder.join("azureProfile.json"), profile).unwrap();
    let output = azure
        .command(&["map", "prod-rg/web", "-o", "json"])
        .env_remove("AZURE_SUBSCRIPTION_ID")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
