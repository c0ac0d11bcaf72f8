//! `vmssh openssh`: the client behind the command line of ssh(1), for programs that start `ssh`.

mod args;
