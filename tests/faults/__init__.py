"""Commands that are killed, limited, or given damaged inputs."""
