"""Rules to alerts, alerts to incidents and to what is owed to notifiers; and its delivery."""
