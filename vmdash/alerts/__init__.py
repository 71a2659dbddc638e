"""Alerts: rules in PromQL, evaluated by vmalert beside the history store; received, shown, and told to people here."""
