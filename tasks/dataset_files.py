"""The files of a dataset's folder that one step writes and others read, by the step that writes them."""

CATALOG_FILE, REJECTED_FILE = "catalog.parquet", "rejected.parquet"  # read
RECORDS_FILE, DROPPED_FILE = "records.parquet", "dropped.parquet"  # deduplicate
SAMPLE_FILE = "sample.parquet"  # sample
TRAIN_STORE, TEST_STORE, OUTCOMES_FILE = "train.h5", "test.h5", "outcomes.parquet"  # pack
STORES = {TRAIN_STORE: ("train", "validation"), TEST_STORE: ("test",)}  # the splits in each
CAPTIONS_FILE, VOCABULARY_FILE = "captions.parquet", "vocabulary.json"  # vocabulary
