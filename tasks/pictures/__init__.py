"""Pictures by URL into two HDF5 files: fetch in chunks, draw the reserve for what cannot be had, pack.

    room.check_room(folder, image)
    while chunks := selection.next_chunks(folder, base_url=..., image=..., config=..., find_repeats=...):
        for chunk in chunks:                               # side by side in threads or processes, if wished
            chunks.fetch_chunk(folder, chunk, base_url=..., image=..., config=..., datasets=[...])
    pack.pack(folder, ...)                                 # train.h5, test.h5, outcomes.parquet
    chunk_files.remove_chunks(folder)                      # once the manifest of the packing is written

Every call may be repeated after a kill at any place: what is on the disk and whole is not asked for again. A new asking
for all pictures is `remove_chunks(folder)` and then no `datasets`. No Prefect here.
"""
