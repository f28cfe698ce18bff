//! taper-gradcheck
