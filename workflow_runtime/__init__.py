"""A declarative, durable state-machine workflow runtime that is embedded in an application."""
