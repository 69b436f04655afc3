"""Waits for jobs with Gladia's SDK as it comes, and says for each when it knew."""

import asyncio
import json
import sys
import time

from gladiaio_sdk import GladiaClient

url, key, jobs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = GladiaClient(api_key=key, api_url=url).prerecorded_async()


async def wait(job: dict) -> None:
    await asyncio.sleep(job["begins_after"])
    done = await client.transcribe(job["audio_url"])
    known_at = time.time()
    assert done.status == "done", done
    print(json.dumps({"audio_url": job["audio_url"], "known_at": known_at}), flush=True)


async def wait_for_all() -> None:
    await asyncio.gather(*(wait(job) for job in jobs))


asyncio.run(wait_for_all())
