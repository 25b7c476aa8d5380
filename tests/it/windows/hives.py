# Writes the hives of Windows roots with hivex. Reads from standard input one JSON object a line: the file of a hive and its
# keys, each with its values as [name, type, bytes in hexadecimal]. With `log` the hive is left open: `new` and `old` write the
# second half of the keys into a log of that format only, `none` writes no log.
import json
import os
import struct
import sys

import hivex


def empty(time=0x01DC5A0000000000):
    """A hive with a root key and a security descriptor, because hivex changes hives and makes none."""
    head = bytearray(4096)
    struct.pack_into('<4sIIQIIIIIII', head, 0, b'regf', 1, 1, time, 1, 5, 0, 1, 32, 4096, 1)
    total = 0
    for word in struct.unpack_from('<127I', head):
        total ^= word
    struct.pack_into('<I', head, 508, {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(total, total))
    page = bytearray(4096)
    struct.pack_into('<4sIIQQI', page, 0, b'hbin', 0, 4096, 0, time, 0)
    name, none = b'ROOT', 0xFFFFFFFF
    size = (4 + 76 + len(name) + 7) & ~7
    security = 32 + size
    struct.pack_into('<i2sHQ15IHH', page, 32, -size, b'nk', 0x2C, time, 0, none, 0, 0, none, none, 0, none,
                     security, none, 0, 0, 0, 0, 0, len(name), 0)
    page[32 + 80:32 + 80 + len(name)] = name
    descriptor = struct.pack('<BBHIIII', 1, 0, 0x8000, 0, 0, 0, 0)
    length = (4 + 20 + len(descriptor) + 7) & ~7
    struct.pack_into('<i2sHIIII', page, security, -length, b'sk', 0, security, security, 1, len(descriptor))
    page[security + 24:security + 24 + len(descriptor)] = descriptor
    rest = security + length
    struct.pack_into('<i', page, rest, 4096 - rest)
    return bytes(head + page)


def add(file, keys):
    hive = hivex.Hivex(file, write=True)
    nodes = {(): hive.root()}
    for key in keys:
        path = ()
        for name in key['path']:
            above, path = nodes[path], path + (name.lower(),)
            if path not in nodes:
                nodes[path] = hive.node_get_child(above, name) or hive.node_add_child(above, name)
        values = [{'key': name, 't': kind, 'value': bytes.fromhex(data)} for name, kind, data in key['values']]
        if values:
            hive.node_set_values(nodes[path], values)
    hive.commit(None)


def write(file, keys):
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, 'wb') as hive:
        hive.write(empty())
    add(file, keys)


def marvin(data):
    """The checksum of entries of logs: Marvin32 with the seed of Windows."""
    mask = 0xFFFFFFFF
    turn = lambda word, by: (word << by | word >> 32 - by) & mask
    low, high = 0x7A4E55C5, 0x82EF4D88
    for word in [*struct.unpack('<%dI' % (len(data) // 4), data), 0x80, 0]:
        low = low + word & mask
        high ^= low
        low = turn(low, 20) + high & mask
        high = turn(high, 9) ^ low
        low = turn(low, 27) + high & mask
        high = turn(high, 19)
    return struct.pack('<II', low, high)


def seal(head):
    total = 0
    for word in struct.unpack_from('<127I', head):
        total ^= word
    struct.pack_into('<I', head, 508, {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(total, total))
    return bytes(head)


def leave_open(file, keys, log):
    """A hive as Windows leaves it without a shutdown: the second half of the keys is only in its log."""
    write(file, keys[:len(keys) // 2])
    with open(file, 'rb') as hive:
        before = hive.read()
    add(file, keys[len(keys) // 2:])
    with open(file, 'rb') as hive:
        after = hive.read()
    pages = [at for at in range(4096, len(after), 4096) if before[at:at + 4096] != after[at:at + 4096]]
    head = bytearray(before[:512])
    finished = struct.unpack_from('<I', head, 8)[0]
    struct.pack_into('<II', head, 4, finished + 1, finished)
    with open(file, 'wb') as hive:
        hive.write(seal(head) + before[512:])
    if log == 'none':
        return
    start = bytearray(after[:512])
    if log == 'old':
        struct.pack_into('<IIQ', start, 4, finished + 1, finished + 1, struct.unpack_from('<Q', before, 12)[0])
        struct.pack_into('<I', start, 28, 1)
        bitmap = bytearray(len(after) // 4096 - 1)
        for at in pages:
            bitmap[at // 4096 - 1] = 0xFF
        body = b'DIRT' + bytes(bitmap)
        body += bytes(-len(body) % 512) + b''.join(after[at:at + 4096] for at in pages)
        write_log(file, 'LOG', seal(start) + body)
    else:
        struct.pack_into('<I', start, 28, 6)
        # Windows makes both logs and writes to them in turn.
        for number, (name, some) in enumerate([('LOG1', pages[:3]), ('LOG2', pages[3:])], finished):
            struct.pack_into('<II', start, 4, number, number)
            part = b''.join(struct.pack('<II', at - 4096, 4096) for at in some)
            part += b''.join(after[at:at + 4096] for at in some)
            part += bytes(-(len(part) + 40) % 512)
            sizes = (len(part) + 40, 0, number, len(after) - 4096, len(some))
            entry = struct.pack('<4s5I', b'HvLE', *sizes) + marvin(part)
            write_log(file, name, seal(start) + entry + marvin(entry) + part)


def write_log(file, name, content):
    with open(file + '.' + name, 'wb') as log:
        log.write(content)


for line in sys.stdin:
    hive = json.loads(line)
    if hive.get('log'):
        leave_open(hive['file'], hive['keys'], hive['log'])
    else:
        write(hive['file'], hive['keys'])
