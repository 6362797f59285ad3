//! Laws of a service.
