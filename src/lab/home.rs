//! What an instance is called, and where its commands run.

use super::{USER, command::Home, files::Folder};

/// The instance's name in Azure.
pub(super) fn name(number: usize) -> String {
    format!("lab_{number}")
}

/// The name that the instance knows itself by: prefix and id in base 36, as Uniform scale sets have it.
pub(super) fn computer_name(number: usize) -> String {
    let digit = |place: u32| {
        let value = number / 36_usize.pow(place) % 36;
        u32::try_from(value).ok().and_then(|value| char::from_digit(value, 36)).unwrap_or('0')
    };
    let digits: String = (0..6).rev().map(digit).collect();
    format!("lab{}", digits.to_uppercase())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computer_names_count_in_base_36() {
        let names: Vec<_> = [0, 9, 10, 35, 36, 999].map(computer_name).into();
        assert_eq!(names, ["lab000000", "lab000009", "lab00000A", "lab00000Z", "lab000010", "lab0000RR"]);
    }
}
