//! Destinations against real servers, scripted servers, and each other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, clippy::cast_possible_truncation)]

mod azure;
mod azure_faults;
mod azure_keeping;
mod azure_listing;
mod azure_server;
mod conformance;
mod copying;
mod credentials;
mod fake_azure;
mod fake_gcs;
mod fake_s3;
mod fanout;
mod faults;
mod gcs;
mod gcs_faults;
mod gcs_keeping;
mod gcs_listing;
mod keeping;
mod listing;
mod memory;
mod outages;
mod probe;
mod promises;
mod real_fanout;
mod scripted;
mod servers;
mod tls;
