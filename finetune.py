"""The original's command on this engine: ``python finetune.py --help``, or under torchrun."""

try:
    from bactrian.cli.finetune import main
except ModuleNotFoundError as missing:
    hint = "make install, then .venv/bin/python finetune.py"
    raise SystemExit(f"error: {missing}\nhint: {hint}") from None

if __name__ == "__main__":
    main()
