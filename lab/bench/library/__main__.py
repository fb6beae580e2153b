"""Starts one side: `DATABASE_URL=… BROKER_URL=… PORT=… python -m lab.bench.library orders | refunds`."""

import os
import sys

import uvicorn

if __name__ == "__main__":
    uvicorn.run(f"lab.bench.library.{sys.argv[1]}:app", port=int(os.environ["PORT"]), log_level="warning")
