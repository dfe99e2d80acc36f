"""The background process: settles statuses, delivers what gateways left, runs jobs and schedules."""
