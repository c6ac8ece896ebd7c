"""Logs of several services, read as one."""

import logging
from pathlib import Path

from devstack.logs import Entry, follow_logs, log_file, postgres_log, read_logs, writing_logs


def write(data_dir: Path, service: str, *lines: str) -> None:
    file = log_file(data_dir, service)
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as log:
        log.writelines(f"{line}\n" for line in lines)


def at(second: int) -> str:
    return f"2026-11-21 10:00:{second:02}.000"


def test_entries_of_all_services_come_in_the_order_of_time(tmp_path: Path) -> None:
    write(tmp_path, "rest", f"{at(1)} UTC INFO  a", f"{at(3)} UTC INFO  c")
    write(tmp_path, "postgres", f"{at(2)} UTC [1] LOG:  b", "\tand its second line")
    texts = [entry.text for entry in read_logs(tmp_path, ["rest", "postgres", "net"], 10)]
    assert [text[24:] for text in texts] == ["UTC INFO  a", "UTC [1] LOG:  b\n\tand its second line", "UTC INFO  c"]
    assert [entry.service for entry in read_logs(tmp_path, ["rest", "postgres"], 2)] == ["postgres", "rest"]
    assert read_logs(tmp_path, ["rest"], 0) == []


def test_following_goes_on_where_reading_ended_and_waits_for_whole_lines(tmp_path: Path) -> None:
    write(tmp_path, "rest", f"{at(1)} UTC INFO  a")
    news = follow_logs(tmp_path, ["rest"], 10, pause_seconds=0)
    assert [entry.text[-1] for entry in next(news)] == ["a"]
    assert next(news) == []
    with log_file(tmp_path, "rest").open("a") as log:
        log.write(f"{at(2)} UTC INFO  half")
    assert next(news) == []
    write(tmp_path, "rest", " whole")
    assert next(news) == [Entry(at(2), "rest", f"{at(2)} UTC INFO  half whole")]


def test_following_survives_a_file_that_is_put_aside(tmp_path: Path) -> None:
    write(tmp_path, "rest", f"{at(1)} UTC INFO  old and long")
    news = follow_logs(tmp_path, ["rest"], 10, pause_seconds=0)
    next(news)
    log_file(tmp_path, "rest").unlink()
    assert next(news) == []
    write(tmp_path, "rest", f"{at(2)} UTC INFO  new")
    assert [entry.text[-3:] for entry in next(news)] == ["new"]


def test_each_service_writes_its_own_file_and_the_loggers_are_left_as_they_were(tmp_path: Path) -> None:
    logger = logging.getLogger("devstack.rest")
    before = (logger.level, list(logger.handlers))
    with writing_logs(tmp_path):
        logger.info("GET /rest/v1/ 200")
        logging.getLogger("devstack.rest.part").warning("from below")
    assert (logger.level, logger.handlers) == before
    lines = log_file(tmp_path, "rest").read_text().splitlines()
    assert [line[23:] for line in lines] == [" UTC INFO  GET /rest/v1/ 200", " UTC WARNING  from below"]
    assert not log_file(tmp_path, "auth").exists()


def test_a_large_log_of_the_server_is_put_aside(tmp_path: Path) -> None:
    write(tmp_path, "postgres", "x" * 6_000_000)
    assert not postgres_log(tmp_path).exists()
    assert log_file(tmp_path, "postgres").with_name("postgres.log.1").stat().st_size > 5_000_000
