.PHONY: help demo test bench lab soak tsan asan lint docs clean kill-test console-test examples release package install
help: ; @awk -F' ## ' '/^# .* ## /{printf "make %-12s %s\n", substr($$1, 3), $$2}' Makefile

# demo ## the whole corridor on this machine, proving itself (EVENTS=200000 INPUT=file DIR=folder CONFIG=debug ARGS=…)
demo: ; @scripts/demo $(ARGS)
# test ## every test, against real S3 servers on loopback (PENSTOCK_WITHOUT_S3=1 leaves those out; ARGS='--filter …')
test: ; @scripts/test $(ARGS)
# console-test ## the console in a headless Chromium, as an operator uses it (ARGS='--images docs/images' makes its pictures)
console-test: ; @scripts/test-console $(ARGS)
# bench ## the benchmarks, with the raw probe next to every figure (ARGS='append --json')
bench: ; @scripts/bench $(ARGS)
# lab ## the long tests, one figure per row; lab-LAYER for one of scripts/laboratory (DURATION=600 JOBS=2 SEED=1 ROUNDS=2000)
lab: ; @scripts/lab $(ARGS)
lab-%: ; @scripts/lab $* $(ARGS)
# soak ## mixed load; memory and descriptors must stay flat (DURATION=600 CONFIG=debug)
soak: ; @scripts/soak $(ARGS)
# tsan ## the concurrent tests under ThreadSanitizer (ARGS='--filter …')
tsan: ; @scripts/sanitize thread $(ARGS)
# asan ## the same under AddressSanitizer
asan: ; @scripts/sanitize address $(ARGS)
# lint ## the formatter's strict check and the house rules
lint: ; @scripts/lint $(ARGS)
# docs ## the API documentation as a site in .build-docs
docs: ; @scripts/docs $(ARGS)
# examples ## the packages in docs/examples, built and used (ARGS=backend or consumer)
examples: ; @scripts/test-examples $(ARGS)
# release ## penstock as it is given to others: optimized, with its libraries inside
release: ; @scripts/release
# package ## a tarball of it with manual page, completions and unit
package: ; @scripts/package $(ARGS)
# install ## the same below PREFIX (default /usr/local; DESTDIR=folder to put it elsewhere)
install: ; @PREFIX=$${PREFIX:-/usr/local} scripts/package --install "$(DESTDIR)$${PREFIX:-/usr/local}" $(ARGS)
# clean ## removes what the builds made
clean: ; @rm -rf .build .build-* Tests/Embedding/Package.resolved
# kill-test ## SIGKILL at random moments, then proof that nothing was lost or doubled (ROUNDS=200 CONFIG=debug ARGS=…)
kill-test: ; @scripts/kill-test $${ROUNDS:-200} $(ARGS)
