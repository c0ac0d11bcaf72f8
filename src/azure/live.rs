//! A scale set asked from Azure: which documents are needed, in as few requests as will do.
//!
//! Three rounds, each in parallel: the scale set's model; what it refers to; what that refers to. A Uniform
//! set behind one load balancer takes three requests, a Flexible one four, whose machines name their cards.
//! What only makes the map richer (security groups) may fail; what leads to instances may not.

use std::collections::HashSet;

use futures_util::future::{join_all, try_join, try_join_all};
use serde_json::Value;

use super::{
    Depth,
    arm::{Arm, ArmError},
    wire::{self, Read, WireError},
};
use crate::{
    resolver::{self, Choice, Wish},
    resource::{FrontendAddress, Kind, LoadBalancer, Orchestration, ResourceId, Resources, ScaleSet, Unread},
    target::ScaleSetTarget,
};
