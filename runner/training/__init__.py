"""The loop and what it needs: plateau rules, warm start, schedule, checkpoints, seeding."""
