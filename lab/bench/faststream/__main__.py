"""Starts one side: `DATABASE_URL=… BROKER_URL=… PORT=… python -m lab.bench.faststream orders | refunds`."""

import os
import sys

import uvicorn

if __name__ == "__main__":
    uvicorn.run(f"lab.bench.faststream.{sys.argv[1]}:app", port=int(os.environ["PORT"]), log_level="warning")
