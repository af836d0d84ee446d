"""Who did what, in records that nobody changes unseen. Pure: ``state.audit_store`` keeps them."""
