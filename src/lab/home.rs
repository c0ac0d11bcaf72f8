//! What an instance is called, and where its commands run.

use super::{USER, command::Home, files::Folder};
use crate::natmap::InstanceId;

/// The instance's name in Azure.
pub(super) fn name(number: usize) -> String {
    format!("lab_{number}")
}

/// The name that the instance knows itself by: prefix and id in base 36, as Uniform scale sets have it.
pub(super) fn computer_name(number: usize) -> String {
    InstanceId::from(number).computer_name("lab").unwrap_or_default()
}

/// Where an instance's commands run, and the environment that a login would give them.
pub(super) fn home(folder: &Folder, number: usize) -> Home {
    let home = folder.path().join(name(number));
    let computer_name = computer_name(number);
    let mut path = folder.bin.clone().into_os_string();
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let env = vec![
        ("PATH", path),
        ("HOME", home.clone().into_os_string()),
        ("USER", USER.into()),
        ("LOGNAME", USER.into()),
        ("SHELL", "/bin/sh".into()),
        ("LANG", "C.UTF-8".into()),
        ("PS1", format!("{USER}@{computer_name}:$ ").into()),
        ("VMSSH_LAB_INSTANCE", number.to_string().into()),
        ("VMSSH_LAB_COMPUTER_NAME", computer_name.into()),
    ];
    Home { folder: home, env }
}
