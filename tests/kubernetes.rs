//! The manifests of deploy/kubernetes: their numbers agree, their pods may do nothing that they need not, and
//! their arguments are the program's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/vmssh.rs"]
mod vmssh;

use std::{net::TcpListener, path::Path, process::Command};

use serde_json::{Value, json};
use vmssh::Surroundings;

/// Reads a manifest with the reader that Ansible uses (Debian: python3-yaml); what is there twice is an error.
fn manifest(name: &str) -> Value {
    const READ: &str = "
import json, sys, yaml

class Strict(yaml.SafeLoader):
    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f'twice in line {node.start_mark.line + 1}: {keys}'
        return super().construct_mapping(node, deep)

json.dump(yaml.load(open(sys.argv[1]), Strict), sys.stdout)";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes").join(name);
    let out = Command::new("python3").args(["-c", READ]).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{name}: {said}\n(Debian: apt-get install python3-yaml)");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// What a pod may do, and where its map comes from.
fn check_pod(template: &Value) {
    let pod = &template["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 0);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let [container] = &pod["containers"].as_array().unwrap()[..] else { panic!("one container") };
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        })
    );
    let (requests, limits) = (&container["resources"]["requests"], &container["resources"]["limits"]);
    assert!(requests["cpu"].is_string() && requests["memory"].is_string() && limits["memory"].is_string());
    assert_eq!(container["image"], format!("vmssh:{}", env!("CARGO_PKG_VERSION")));
    // The map that the arguments name is the ConfigMap's.
    let (mount, volume) = (&container["volumeMounts"][0], &pod["volumes"][0]);
    assert_eq!((&mount["name"], &mount["readOnly"]), (&volume["name"], &true.into()));
    assert_eq!(volume["configMap"]["name"], "vmssh-map");
    let target = container["args"][1].as_str().unwrap();
    assert_eq!(target, format!("@{}/map.json", mount["mountPath"].as_str().unwrap()));
    assert!(container["env"].as_array().unwrap().iter().any(|var| var["name"] == "VMSSH_PLACE"));
}

/// Runs a container's command on two endpoints: one listens, and nobody does behind the other.
fn run(container: &Value, change: impl Fn(&str) -> Vec<String>, environment: &[(&str, &str)]) -> vmssh::Ran {
    let here = Surroundings::new();
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let map = here
        .file("map.json", format!("{{\"instance 0\": \"{}\", \"instance 1\": \"{}\"}}", ports[0], ports[1]));
    let arguments = container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
    let arguments: Vec<_> = arguments
        .flat_map(|argument| match argument {
            "@/etc/vmssh/map.json" => vec![format!("@{map}")],
            other => change(other),
        })
        .collect();
    let mut command = here.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for var in container["env"].as_array().unwrap() {
        command.env(var["name"].as_str().unwrap(), var["value"].as_str().unwrap());
    }
    command.envs(environment.iter().copied()).output().unwrap().into()
}

fn check_job(spec: &Value) {
    assert_eq!(spec["completionMode"], "Indexed");
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
    check_pod(&spec["template"]);
    let container = &spec["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().unwrap();
    let shards = variables.iter().find(|var| var["name"] == "VMSSH_SHARDS").unwrap();
    assert_eq!(shards["value"], spec["completions"].to_string());
    let rules = spec["podFailurePolicy"]["rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["action"] == "FailIndex").unwrap();
    assert_eq!(rule["onExitCodes"]["containerName"], container["name"]);
    assert!(spec["backoffLimitPerIndex"].is_u64(), "FailIndex needs it");

    // Four pods for two endpoints: the second has one, the last has none.
    let same = |argument: &str| match argument {
        // As fast as it goes.
        "--count" => vec!["--interval".to_string(), "0".into(), "--count".into()],
        other => vec![other.to_string()],
    };
    for (index, endpoints) in [("1", 1), ("3", 0)] {
        let ran = run(container, same, &[("JOB_COMPLETION_INDEX", index)]).expect_status(0);
        let document = &ran.json_lines()[0];
        assert_eq!(document["endpoints"].as_array().unwrap().len(), endpoints);
        assert_eq!((&document["place"], &document["options"]["count"]), (&"cluster".into(), &20.into()));
    }
}

#[test]
fn the_job_shares_the_endpoints() {
    let job = manifest("job.yaml");
    assert_eq!((&job["apiVersion"], &job["kind"]), (&"batch/v1".into(), &"Job".into()));
    check_job(&job["spec"]);
}

#[test]
fn the_cron_job_does_the_same() {
    let cron_job = manifest("cronjob.yaml");
    assert_eq!((&cron_job["apiVersion"], &cron_job["kind"]), (&"batch/v1".into(), &"CronJob".into()));
    assert_eq!(cron_job["spec"]["concurrencyPolicy"], "Forbid");
    assert_eq!(cron_job["spec"]["schedule"].as_str().unwrap().split(' ').count(), 5);
    check_job(&cron_job["spec"]["jobTemplate"]["spec"]);
}

#[test]
fn the_deployment_serves_what_is_scraped() {
    let deployment = manifest("deployment.yaml");
    assert_eq!((&deployment["apiVersion"], &deployment["kind"]), (&"apps/v1".into(), &"Deployment".into()));
    let spec = &deployment["spec"];
    let template = &spec["template"];
    assert_eq!(spec["selector"]["matchLabels"], template["metadata"]["labels"]);
    check_pod(template);
    let container = &template["spec"]["containers"][0];
    let port = container["ports"][0]["containerPort"].to_string();
    assert_eq!(template["metadata"]["annotations"]["prometheus.io/port"], port);
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&format!("0.0.0.0:{port}").into()));
    assert!(arguments.contains(&"-t".into()), "without an end");
    for probe in ["readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"]);
    }
    // With an end, and where nobody else listens.
    let change = |argument: &str| match argument {
        "-t" => vec!["-n".into(), "1".into()],
        "0.0.0.0:9464" => vec!["127.0.0.1:0".into()],
        "5s" => vec!["1ms".into()],
        other => vec![other.into()],
    };
    let ran = run(container, change, &[]).expect_status(0);
    assert!(ran.stdout.contains("both endpoints answered"), "{}", ran.stdout);
}

#[test]
fn the_image_has_what_it_is_built_of() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dockerfile = std::fs::read_to_string(root.join("deploy/kubernetes/Dockerfile")).unwrap();
    assert!(dockerfile.contains("\nUSER 65532:65532\n"));
    let copied =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|l| !l.starts_with("--"));
    let ignore = std::fs::read_to_string(root.join("deploy/kubernetes/Dockerfile.dockerignore")).unwrap();
    for line in copied {
        let words: Vec<_> = line.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(root.join(source).exists(), "{source}");
            assert!(ignore.lines().any(|l| l == format!("!{source}")), "{source} is not sent");
        }
    }
}
