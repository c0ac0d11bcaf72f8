//! What several verbs take. What was typed and what it means are two things: nothing is looked up
//! here.

use clap::{Args, ValueEnum};

use crate::{
    azure::cloud::Cloud,
    lab::FaultSpec,
    natmap::{BackendPort, Host, InstanceSet},
    target::UserTarget,
};

/// SSH, which is what most rules of a scale set lead to.
pub(super) const DEFAULT_BACKEND_PORT: &str = "22";

/// Options of every verb.
#[derive(Debug, Clone, Args)]
pub(super) struct GlobalArgs {
    /// When to use colour; `NO_COLOR` is honoured
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Global options"
    )]
    pub(super) color: ColorChoice,
    /// Say only results, warnings and errors
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(super) quiet: bool,
    /// Say more of what happens on the way (twice: very much), on stderr
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(super) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// What to work on.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArgs {
    /// Where the scale set is: GROUP/NAME, HOST:START-END, HOST:PORT, @FILE, @DIR, `-` or `lab`
    #[arg(value_name = "[USER@]TARGET")]
    pub(super) target: UserTarget,
    /// The frontend's address, where the document does not tell it (a bare NAT pool)
    #[arg(long, value_name = "HOST")]
    pub(super) address: Option<Host>,
    /// Which scale set, where saved documents speak of several
    #[arg(long, value_name = "NAME")]
    pub(super) scale_set: Option<String>,
    #[command(flatten)]
    pub(super) azure: AzureArgs,
    #[command(flatten)]
    pub(super) lab: LabShape,
}

/// How to ask Azure.
#[derive(Debug, Clone, Args)]
pub(super) struct AzureArgs {
    /// The subscription of a target GROUP/NAME [default: the Azure CLI's]
    #[arg(long, value_name = "ID|NAME", env = "AZURE_SUBSCRIPTION_ID", help_heading = "Azure")]
    pub(super) subscription: Option<String>,
    /// The cloud: AzurePublic, AzureUSGovernment or AzureChina
    #[arg(long, value_name = "CLOUD", default_value_t, help_heading = "Azure")]
    pub(super) cloud: Cloud,
}

/// Which of the instances.
#[derive(Debug, Clone, Args)]
pub(super) struct InstancesArgs {
    /// Which instances: 3 or 0-9,12 or web_* or !4 (all but) [default: all]
    pub(super) instances: Option<InstanceSet>,
    /// The port on the instances whose rules to use, where the target tells it
    #[arg(long, value_name = "PORT", default_value = DEFAULT_BACKEND_PORT)]
    pub(super) backend_port: BackendPort,
}

/// The shape of the lab that the target `lab` starts.
#[derive(Debug, Clone, Args)]
pub(super) struct LabShape {
    /// How many instances the target `lab` has [default: 4]
    #[arg(long, value_name = "N", help_heading = "Lab", value_parser = lab_size)]
    pub(super) lab_instances: Option<usize>,
    /// What is wrong with some of them: 3=drop, 0-1=slow; drop|refuse|slow|hostkey|auth
    #[arg(long, value_name = "N=FAULT", help_heading = "Lab")]
    pub(super) lab_fault: Vec<FaultSpec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// One document with a schema name
    Json,
    /// One object a line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

/// What Azure allows in one scale set.
pub(super) fn lab_size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=1000).contains(n))
        .ok_or_else(|| "a scale set has 1 to 1000 instances".into())
}
