"""Processes that send payouts as fast as they can: `python -m tests.faults.paying 8 200`. One that is killed is replaced at once.

They are forked from one that has loaded everything, so that many can be killed within seconds.
"""

import logging
import os
import sys
import time


def work(size: int) -> None:
    from foundation import services
    from incentives import sending

    payer = services.get("payout_bni")
    while True:
        if not sending.send_batch("bni", payer=payer, size=size):
            time.sleep(0.05)


def main(workers: int, size: int) -> None:
    import django

    django.setup()
    logging.disable(logging.WARNING)
    import incentives.sending

    assert incentives.sending
    while True:
        for _ in range(workers):
            if os.fork() == 0:
                work(size)
        workers = 0
        os.wait()
        workers = 1


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
