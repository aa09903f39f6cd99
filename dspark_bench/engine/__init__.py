"""The decode loop: plan, propose, verify, accept, commit, over a continuous batch."""
