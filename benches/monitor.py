"""Measures a program on a terminal: what it costs per second, how much memory it takes at most, when its first frame is there.

monitor.py live SECONDS COLUMNS ROWS STARTS UNTIL COMMAND...   one tab-separated row: CPU %, user %, system %, peak MB, median and range of first frames in ms
monitor.py once RUNS COMMAND...                                one row: median and range of the run time in ms
"""
import fcntl, os, pty, select, signal, statistics, struct, subprocess, sys, termios, time


def start(command, columns, rows):
    """The command on a terminal of its own; the time at which it was started."""
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvp(command[0], command)
    return pid, terminal, began


def read(terminal, until):
    """Reads what is drawn until a moment; yields pieces with their time."""
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                piece = os.read(terminal, 1 << 16)
            except OSError:
                return
            if not piece:
                return
            yield time.monotonic(), piece


def end(pid, terminal):
    os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
        list(read(terminal, time.monotonic() + 0.05))
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(terminal)


def first_frame(command, columns, rows, words):
    """Milliseconds until all of the words were written."""
    pid, terminal, began = start(command, columns, rows)
    seen = b""
    took = float("nan")
    for at, piece in read(terminal, began + 10):
        seen += piece
        if all(word in seen for word in words):
            took = (at - began) * 1000
            break
    end(pid, terminal)
    return took


def used(pid):
    """Seconds of user and system time."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def peak(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmHWM"))


def spread(values):
    return f"{statistics.median(values):.1f}\t{min(values):.1f} to {max(values):.1f}"


def live(seconds, columns, rows, starts, until, command):
    words = [word.encode() for word in until.split(",") if word]
    frames = [first_frame(command, columns, rows, words) for _ in range(starts)] if words else []
    pid, terminal, _ = start(command, columns, rows)
    list(read(terminal, time.monotonic() + 5))
    before, began = used(pid), time.monotonic()
    written = sum(len(piece) for _, piece in read(terminal, began + seconds))
    after, span = used(pid), time.monotonic() - began
    memory = peak(pid)
    end(pid, terminal)
    user, system = ((b - a) / span * 100 for a, b in zip(before, after))
    frame = spread(frames) if frames else "-\t-"
    print(f"{user + system:.2f}\t{user:.2f}\t{system:.2f}\t{memory:.1f}\t{frame}\t{written / span:.0f}")


def once(runs, command):
    times = []
    for _ in range(runs):
        began = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append((time.monotonic() - began) * 1000)
    print(spread(times))


if sys.argv[1] == "live":
    live(float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6], sys.argv[7:])
else:
    once(int(sys.argv[2]), sys.argv[3:])
