"""What a measurement runs on: versions, processors, GPU telemetry, what else the machine did."""
