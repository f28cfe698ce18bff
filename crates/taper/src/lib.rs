//! taper-taper
