"""A lock for each object."""

import threading

from pyke.engine.locks import Locks


def test_one_object_is_held_by_one_thread_at_a_time() -> None:
    locks, inside, most = Locks(), 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with locks.of("container", "a"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_another_object_is_free_meanwhile() -> None:
    locks, entered = Locks(), threading.Event()

    def other() -> None:
        with locks.of("container", "b"):
            entered.set()

    with locks.of("container", "a"), locks.of("container", "a"):
        threading.Thread(target=other).start()
        assert entered.wait(5)


def test_a_lock_that_nobody_holds_is_forgotten() -> None:
    locks = Locks()
    with locks.of("container", "a"):
        assert locks._held
    assert not locks._held
