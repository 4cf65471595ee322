"""The words for statuses, moments and alerts that messages, pages and the command line share."""
