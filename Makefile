# Everything here stands on set-ups, which do nothing when there is nothing to do: .venv/.set-up
# (Debian packages, the environment) and .venv/.set-up-vm (the virtual machine).

PYTHON ?= python3
export PYTHON
RUN := .venv/bin/python -m

.PHONY: help setup setup-vm demo serve test test-all lint types unit live openvswitch vm bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.set-up ## Debian packages and .venv; needs root the first time
	@:

setup-vm: .venv/.set-up-vm ## the same for the virtual machine: QEMU, Debian's kernel
	@:

demo: setup ## a daemon, C and Python clients, what they say; then Open vSwitch and a ping through it
	$(RUN) tools.demo

serve: setup ## the daemon in the foreground
	.venv/bin/ovsdp-cuse serve

test: setup setup-vm ## all lanes but the slow ones, 25 to 40 minutes
	$(RUN) tools.run_tests

test-all: setup setup-vm ## all lanes, 45 to 65 minutes; what CI runs
	$(RUN) tools.run_tests --all

lint: setup ## ruff: rules and format
	$(RUN) tools.run_tests lint format

types: setup ## mypy --strict
	$(RUN) tools.run_tests types

unit: setup ## tests without a device
	$(RUN) tools.run_tests unit

live: setup ## tests on the FUSE node of this machine's kernel
	$(RUN) tools.run_tests live

openvswitch: setup ## Debian's Open vSwitch on the FUSE node
	$(RUN) tools.run_tests openvswitch

vm: setup setup-vm ## tests on /dev/cuse, against the kernel, and of the service, in the virtual machine
	$(RUN) tools.run_tests vm vm-live vm-oracle vm-openvswitch vm-systemd

bench: setup setup-vm ## speed and memory, side by side with peers in the same run
	$(RUN) bench

clean: ## removes what make made here (not the kernel in the user's cache)
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	rm -f ovsdp_cuse/shim/*.so
	find . -name __pycache__ -type d -exec rm -rf {} +

.venv/.set-up: pyproject.toml setup.py tools/set_up.sh tools/debian-packages.txt \
		$(wildcard ovsdp_cuse/shim/src/*) ovsdp_cuse/include/ovs_datapath.h
	@sh tools/set_up.sh base
	@touch $@

.venv/.set-up-vm: .venv/.set-up tools/debian-packages-vm.txt
	@sh tools/set_up.sh vm
	@touch $@
