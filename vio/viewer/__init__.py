"""The viewer: a run, live or finished, as a rerun recording. The only package that imports rerun; the engine does not know of it.

`outputs` opens a window, a web page or a file; `scene` says what a frame looks like; `live` feeds it from a run, `stored` from a folder.
"""
