"""Long clips for benchmarks: a short one over and over, its packets copied without being encoded again."""

from pathlib import Path

import av


def repeat_clip(source: Path, out: Path, seconds: float) -> None:
    """Write the packets of `source` one round behind the other until `out` is `seconds` long."""
    with av.open(str(source)) as file, av.open(str(out), "w") as copy:
        tracks = [*file.streams.video, *file.streams.audio]
        streams = {track.index: copy.add_stream_from_template(track) for track in tracks}
        packets = [packet for packet in file.demux(*tracks) if packet.dts is not None]
        packets = [(p.stream.index, bytes(p), p.pts, p.dts, p.is_keyframe, p.time_base) for p in packets]
        # a round is as long as the picture, in whole ticks of every stream
        rate = file.streams.video[0].average_rate
        frames = sum(index == file.streams.video[0].index for index, *_ in packets)
        length = float(frames / rate)
        for number in range(max(1, round(seconds / length))):
            for index, data, pts, dts, is_keyframe, time_base in packets:
                later = round(number * length / time_base)
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = streams[index], time_base, is_keyframe
                packet.pts, packet.dts = pts + later, dts + later
                copy.mux(packet)
