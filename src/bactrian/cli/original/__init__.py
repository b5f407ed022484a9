"""The original's command line on this engine: its flags, what they mean here, its three data rules.

``flags`` reads them, ``meaning`` makes a recipe of them, ``places`` finds the data, ``template``
reads prompt styles in JSON. Knows nothing of training.
"""
