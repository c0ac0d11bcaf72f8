//! Single documents and subsets: what they tell is in the map, what they don't tell is said, with the
//! command that would tell.

use serde_json::Value;

use crate::{
    cases::pooled,
    network::{Balancer, Kind, Machines, Member, Spelling},
    scenario::document,
    vmssh_binary::{Ran, Surroundings},
    way::{Shown, Way},
};

const POOL: &str = "01-uniform-natpool-contiguous";
const RULE: &str = "07-uniform-v2";
const FLEXIBLE: &str = "08-flexible-v2";

fn ran(documents: &[Value]) -> Ran {
    let stream: Vec<_> = documents.iter().map(Value::to_string).collect();
    Surroundings::new().run_with_input(&["map", "-", "-o", "json"], stream.join("\n").as_bytes())
}

fn map(documents: &[Value]) -> Shown {
    Shown::of(ran(documents).expect_status(0).json_lines().remove(0))
}

/// Documents of a scenario that az printed.
fn az(scenario: &str, files: &[&str]) -> Vec<Value> {
    files.iter().map(|file| document(scenario, &format!("az/{file}.json"))).collect()
}

#[test]
fn the_load_balancer_alone_tells_all_but_the_address() {
    let shown = map(&az(POOL, &["lb-show.web-lb"]));
    assert_eq!(shown.short(), ["0 ?:50000>22", "1 ?:50001>22", "2 ?:50002>22", "3 ?:50003>22"]);
    assert_eq!(
        shown.ways[0],
        Way {
            instance: Some("0".into()),
            name: Some("web_0".into()),
            via: "nat-pool".into(),
            load_balancer: Some("web-lb".into()),
            load_balancer_group: Some("prod-rg".into()),
            rule: Some("ssh.0".into()),
            pool: Some("ssh".into()),
            frontend: Some("fe0".into()),
            scope: Some("public".into()),
            port: 50000,
            backend_port: Some(22),
            protocol: "tcp".into(),
            idle_timeout_minutes: Some(4),
            tcp_reset: Some(false),
            ..Way::default()
        }
    );
    assert_eq!(shown.codes(), ["address-unknown", "nat-pool-retirement"]);
    assert!(shown.the("address-unknown").hint.contains("az network public-ip show -g prod-rg -n web-lb-ip"));
}

#[test]
fn the_list_of_rules_alone_tells_ports_and_instances() {
    let shown = map(&az(POOL, &["lb-inbound-nat-rule-list.web-lb"]));
    assert_eq!(shown.short(), ["0 ?:50000>22", "1 ?:50001>22", "2 ?:50002>22", "3 ?:50003>22"]);
    assert_eq!(shown.ways[0].pool.as_deref(), Some("ssh"), "from the rule's name");
    assert_eq!(shown.ways[0].scope, None, "which kind of frontend it is, only the load balancer tells");
    assert!(shown.the("address-unknown").hint.contains("az network lb show -g prod-rg -n web-lb"));
}

#[test]
fn the_list_of_rules_of_version_2_tells_a_range_only() {
    for more in [vec![], az(RULE, &["vmss-show"])] {
        let shown = map(&[az(RULE, &["lb-inbound-nat-rule-list.apiLB"]), more].concat());
        assert_eq!(shown.ways.len(), 120);
        assert!(shown.ways.iter().all(|way| way.instance.is_none() && way.backend_port == Some(22)));
        assert_eq!(shown.codes(), ["address-unknown", "possible-ports"]);
        assert_eq!(
            shown.the("possible-ports").message,
            "rule \"NatRule\" gives the range 50000-50119, not which instance has which port (it is not start + id)"
        );
    }
}

#[test]
fn a_pool_alone_tells_possible_ports() {
    let shown = map(&az(POOL, &["lb-inbound-nat-pool-show.web-lb.ssh"]));
    assert_eq!(shown.ways.len(), 120);
    assert_eq!(shown.document["entries"][0]["known"], "computed");
    assert_eq!(shown.document["entries"][0]["possible"], true);
    assert_eq!(shown.codes(), ["address-unknown", "nat-pool-retirement", "possible-ports"]);
    assert!(shown.the("possible-ports").hint.contains("az network lb show -g prod-rg -n web-lb"));
}

#[test]
fn azs_list_with_a_pool_tells_the_backend_port() {
    let list = document(POOL, "expected-az.json");
    let alone = map(std::slice::from_ref(&list));
    assert_eq!(alone.ways[0].short(), "0 20.71.10.4:50000>?");
    assert_eq!(alone.codes(), Vec::<&str>::new());
    let shown = map(&[vec![list], az(POOL, &["lb-inbound-nat-pool-show.web-lb.ssh"])].concat());
    assert_eq!(shown.ways[0].short(), "0 20.71.10.4:50000>22");
    assert_eq!((shown.ways[0].via.as_str(), shown.ways[0].pool.as_deref()), ("nat-pool", Some("ssh")));
    assert_eq!(shown.codes(), ["nat-pool-retirement"]);
}

#[test]
fn azs_list_has_one_of_two_pools_and_the_other_stays_open() {
    let list = document("04-two-pools-ssh-rdp", "expected-az.json");
    let shown = map(&[vec![list], az("04-two-pools-ssh-rdp", &["lb-inbound-nat-pool-list.mix-lb"])].concat());
    let known: Vec<_> = shown.short().into_iter().filter(|way| !way.starts_with('-')).collect();
    assert_eq!(known, ["0 20.71.10.6:51002>3389", "1 20.71.10.6:51001>3389", "2 20.71.10.6:51000>3389"]);
    assert_eq!(shown.ways.len(), 3 + 120, "the SSH ports are possible ones");
    shown.the("possible-ports");
}

/// What az prints of a shared load balancer: the other set's instance 0 took the place of this set's.
#[test]
fn azs_list_of_a_shared_load_balancer_is_contradicted_by_the_load_balancer() {
    let mut network = pooled("web", &["0", "1"]);
    let mut other = Machines::new(Kind::Uniform, "api", &["0"]);
    other.configuration().nat_pools.push((0, 1));
    network.sets.push(other);
    network.sets.push(Machines::new(Kind::Alone, "jump", &["jump"]));
    let balancer = network.balancers.remove(0);
    let balancer =
        balancer.nat_pool("ssh-api", 51000, 51119, 22).single("jump", 2222, Some(Member::first(2, 0)));
    network.balancers.push(balancer);
    let network = network.share_out(0);
    let list = serde_json::json!({
        "instance 0": "20.1.2.3:51000", "instance 1": "20.1.2.3:50000", "instance ipconfig1": "20.1.2.3:2222",
    });
    let documents = [vec![list], Spelling::Az.spell(&network.saved(0))].concat();
    let shown = map(&documents);
    assert_eq!(shown.short(), ["0 20.1.2.3:50001>22", "1 20.1.2.3:50000>22"]);
    assert_eq!(
        shown.the("stale-connection-info").message,
        "the list of endpoints contradicts the load balancer about 0,ipconfig1; the load balancer is right"
    );
}

#[test]
fn a_mapping_names_no_instance_and_no_load_balancer() {
    let once = az(RULE, &["lb-list-mapping.apiLB.apiLBBEPool.1"]);
    for documents in [once.clone(), [once.clone(), once].concat()] {
        let shown = map(&documents);
        assert_eq!(shown.short(), ["- ?:50001>22"], "also when it was asked for twice");
        assert_eq!(shown.document["entries"][0]["known"], "queried");
        assert_eq!(shown.codes(), ["address-unknown", "instance-unknown"]);
    }
    let shown = map(&az(RULE, &["lb-list-mapping.apiLB.apiLBBEPool.1", "lb-show.apiLB"]));
    assert_eq!(shown.short(), ["0 ?:50001>22", "1 ?:50000>22", "4 ?:50003>22", "5 ?:50002>22"]);
}

#[test]
fn a_flexible_sets_load_balancer_needs_its_machines() {
    let alone = map(&az(FLEXIBLE, &["lb-show.poolLB"]));
    assert_eq!(alone.short(), ["- ?:50000>22", "- ?:50001>22", "- ?:50002>22"]);
    assert_eq!(alone.codes(), ["address-unknown", "instance-unknown"]);
    let hint = &alone.the("instance-unknown").hint;
    assert!(hint.contains("az vm list") && hint.contains("az network nic list"), "{hint}");
    let with_cards = map(&az(FLEXIBLE, &["lb-show.poolLB", "nic-list"]));
    assert!(with_cards.ways.iter().all(|way| way.instance.is_none() && way.private_address.is_some()));
    let right = ["pool_0e7d4d21 ?:50001>22", "pool_39379fc3 ?:50000>22", "pool_a41b77d0 ?:50002>22"];
    // The machines name their cards; a bare list of instances needs the cards, which name the machines.
    for files in [
        vec!["lb-show.poolLB", "vm-list"],
        vec!["lb-show.poolLB", "vmss-show", "vmss-list-instances", "nic-list"],
    ] {
        let shown = map(&az(FLEXIBLE, &files));
        assert_eq!(shown.short(), right, "{files:?}");
        assert_eq!(shown.codes(), ["address-unknown"], "{files:?}");
    }
}

#[test]
fn documents_that_tell_no_port_say_what_does() {
    for (file, hint) in [
        ("vmss-show", "az network lb show -g prod-rg -n web-lb"),
        ("vmss-list-instances", "az vmss show -g prod-rg -n web"),
        ("vmss-nic-list", "az vmss show -g prod-rg -n web"),
        ("public-ip-show.web-lb-ip", "az vmss show -g GROUP -n NAME"),
    ] {
        let shown = map(&az(POOL, &[file]));
        assert_eq!(shown.short(), Vec::<String>::new(), "{file}");
        assert_eq!(shown.codes(), ["not-read"], "{file}");
        assert!(shown.the("not-read").hint.contains(hint), "{file}: {}", shown.the("not-read").hint);
    }
    let bare = ran(&az(FLEXIBLE, &["vmss-list-instances"])).expect_status(3);
    assert!(bare.stderr.contains("only 3 virtual machines of no scale set that is named"), "{}", bare.stderr);
    let empty = ran(&az(POOL, &["vmss-list-instance-public-ips"])).expect_status(3);
    assert!(empty.stderr.contains("an empty list"), "{}", empty.stderr);
}

/// `az … list` of a group: the same resources as an array of each kind; subnets inside their network.
#[test]
fn lists_of_resources_are_as_good_as_single_ones() {
    let mut network = crate::security::guarded(Some(vec![]), Some(vec![(100, true, "*", "22")]));
    network.balancers.push(Balancer::new("other", "20.9.9.9"));
    let singles = Spelling::Az.spell(&network.saved(0));
    let of_kind = |kind: &str| -> Vec<Value> {
        let is = |id: &str| id.rsplit('/').nth(1) == Some(kind);
        singles.iter().filter(|document| document["id"].as_str().is_some_and(is)).cloned().collect()
    };
    let subnets = of_kind("subnets");
    let path = subnets[0]["id"].as_str().unwrap();
    let network_id = &path[..path.find("/subnets/").unwrap()];
    let mut lists: Vec<Value> = singles.iter().filter(|document| document.is_array()).cloned().collect();
    for kind in ["virtualMachineScaleSets", "loadBalancers", "publicIPAddresses", "networkSecurityGroups"] {
        lists.push(of_kind(kind).into());
    }
    assert_eq!(of_kind("publicIPAddresses").len(), 2);
    lists.push(serde_json::json!([{"id": network_id, "name": "net", "subnets": subnets}]));
    let shown = map(&lists);
    assert_eq!(shown.document, map(&singles).document);
    assert_eq!(shown.warnings(), ["security-group-denies"]);
}

/// The load balancer in parts, as az lists them, tells what the whole one tells.
#[test]
fn lists_of_a_load_balancers_parts_are_as_good_as_the_whole() {
    let mut network = pooled("web", &["0", "1", "2"]);
    network.sets[0].configuration().nat_pools.push((0, 1));
    let balancer = network.balancers.remove(0).nat_pool("rdp", 51000, 51119, 3389);
    network.balancers.push(balancer.single("spare", 2200, None));
    let mut network = network.share_out(0).migrated(|pool| pool == 1);
    network.balancers[0].pool_rules[0].ports.pop();
    let id = network.balancer_id(0);
    let mut documents = Spelling::Az.spell(&network.saved(0));
    let place = documents.iter().position(|document| document["id"] == id.as_str()).unwrap();
    let whole = documents.remove(place);
    let parts = ["frontendIPConfigurations", "inboundNatRules", "inboundNatPools", "backendAddressPools"];
    documents.extend(parts.map(|part| whole[part].clone()));
    let shown = map(&documents);
    assert_eq!(shown.ways.len(), 3 + 2);
    let saved = vmssh::azure::save::document(&crate::way::resources(&documents));
    documents.truncate(0);
    assert_eq!(map(&[saved]).document, shown.document);
    documents.extend(Spelling::Az.spell(&network.saved(0)));
    assert_eq!(map(&documents).document, shown.document);
}

/// One rule that was shown is not the list of all rules.
#[test]
fn a_single_rule_says_nothing_about_others() {
    let network = pooled("web", &["0", "1"]);
    let id = network.balancer_id(0);
    let mut documents = Spelling::Az.spell(&network.saved(0));
    let place = documents.iter().position(|document| document["id"] == id.as_str()).unwrap();
    let whole = documents.remove(place);
    documents.push(whole["inboundNatRules"][0].clone());
    let shown = map(&documents);
    assert_eq!(shown.short(), ["1 ?:50000>22"]);
    assert_eq!(shown.warnings(), ["address-unknown"], "and not: instance 0 has no endpoint");
    // A list with that one rule is the list of all.
    let last = documents.len() - 1;
    let listed = Value::from(vec![documents[last].clone()]);
    let listed = [&documents[..last], &[listed]].concat();
    let saved = vmssh::azure::save::document(&crate::way::resources(&listed));
    for documents in [listed, vec![saved]] {
        assert_eq!(map(&documents).the("instance-without-port").instances, ["0"]);
    }
    documents.push(whole["inboundNatPools"][0].clone());
    let shown = map(&documents);
    assert_eq!(shown.short()[..2], ["1 ?:50000>22", "- ?:50001>22"]);
    assert_eq!(shown.ways.len(), 120, "the other ports of the pool are possible ones");
    let saved = vmssh::azure::save::document(&crate::way::resources(&documents));
    assert_eq!(map(&[saved]).document, shown.document);
}

/// What an az of before version 2 prints of a load balancer that has it.
#[test]
fn a_rule_of_version_2_without_any_mapping() {
    let mut network = crate::cases::ruled(Kind::Uniform, "web", &["0", "1"]);
    network.balancers[0].pool_rules[0].ports.clear();
    let shown = map(&Spelling::Az.spell(&network.saved(0)));
    assert_eq!(shown.warnings(), ["instance-without-port"]);
    assert_eq!(
        shown.said[0].message,
        "load balancer lb has a NAT rule for pool pool, and its document gives no member a port"
    );
}

#[test]
fn two_of_azs_lists() {
    let list = document(POOL, "expected-az.json");
    let twice = map(&[list.clone(), list.clone()]);
    assert_eq!(twice.document, map(std::slice::from_ref(&list)).document, "the same list twice is one");
    let shown = map(&[list, document("04-two-pools-ssh-rdp", "expected-az.json")]);
    assert_eq!(shown.warnings(), ["stale-connection-info"]);
    assert_eq!(
        shown.said[0].message,
        "two lists of endpoints contradict each other about 0-2: they are of two scale sets, or of two times"
    );
}

/// `az network lb address-pool show`: the mappings name their rules, and only these know the rest.
#[test]
fn a_backend_pool_alone_tells_ports_and_instances() {
    let whole = az(RULE, &["lb-show.apiLB"]).remove(0);
    let shown = map(&[whole["backendAddressPools"][0].clone()]);
    assert_eq!(shown.short(), ["0 ?:50001>22", "1 ?:50000>22", "4 ?:50003>22", "5 ?:50002>22"]);
    let way = &shown.ways[0];
    assert_eq!((way.rule.as_deref(), way.pool.as_deref()), (Some("NatRule"), Some("apiLBBEPool")));
    assert_eq!((way.frontend.as_deref(), way.idle_timeout_minutes, way.tcp_reset), (None, None, None));
    assert_eq!(shown.codes(), ["address-unknown"]);
    assert_eq!(
        shown.the("address-unknown").message,
        "the documents do not tell the address of the frontend of \"NatRule\""
    );
}

#[test]
fn a_name_in_azs_list_is_a_stranger() {
    // What az prints of a stand-alone machine behind the scale set's load balancer.
    let shown =
        map(&[serde_json::json!({"instance ipconfig1": "20.1.2.3:2222", "instance 0": "20.1.2.3:50000"})]);
    assert_eq!(shown.short(), ["0 20.1.2.3:50000>?"]);
    assert!(shown.the("shared-load-balancer").message.ends_with("no instance of a scale set: ipconfig1"));
}

/// The codes that the document names are codes of the program, and its cases are tested.
#[test]
fn the_document_names_what_there_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/azure.md")).unwrap();
    let tests = std::fs::read_to_string(root.join("tests/azure/cases.rs")).unwrap();
    let folders: Vec<_> = std::fs::read_dir(root.join("tests/data/azure/scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut cases = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()) {
        let number = &row[2..4];
        let is_tested = tests.contains(&format!("fn case_{number}_"))
            || folders.iter().any(|folder| folder.starts_with(&format!("{number}-")));
        assert!(is_tested, "{row}");
        let ours = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for code in ours.split('`').skip(1).step_by(2).filter(|word| word.contains('-')) {
            assert!(vmssh::natmap::FindingCode::ALL.iter().any(|known| known.as_str() == code), "{code}");
        }
        cases += 1;
    }
    assert_eq!(cases, 31);
}

#[test]
fn power_states_need_the_instance_view_and_private_addresses_the_cards() {
    let lb = ["lb-show.nap-lb", "public-ip-show.nap-lb-ip", "vmss-show"];
    let power = |files: &[&str]| {
        let shown = map(&[az("22-power-states", &lb), az("22-power-states", files)].concat());
        let instances = shown.document["instances"].as_array().unwrap().clone();
        let states: Vec<_> =
            instances.iter().map(|i| i["power"].as_str().unwrap_or("?").to_owned()).collect();
        let private = instances.iter().filter(|i| i["private_addresses"][0].is_string()).count();
        (states.join(" "), private)
    };
    assert_eq!(power(&[]), ("? ? ? ?".into(), 0));
    assert_eq!(power(&["vmss-list-instances"]), ("? ? ? ?".into(), 0));
    assert_eq!(power(&["vmss-list-instances-expand"]), ("running stopped deallocated starting".into(), 0));
    assert_eq!(power(&["vmss-nic-list"]), ("? ? ? ?".into(), 4));
}
