//! Signal masks, signalfds, and putting every disposition back before exec.
