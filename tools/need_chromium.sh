#!/bin/sh
# The browser tests drive the machine's own Chromium: find it, or install it where that is one simple step.
set -eu

for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" /Applications/Chromium.app/Contents/MacOS/Chromium; do
    if [ -n "$browser" ] && command -v "$browser" > /dev/null; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "Installing Chromium for the browser tests"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq chromium > /dev/null && exit 0
fi
echo "The browser tests need Chromium: install it (Debian: apt-get install chromium), or name it in CHROMIUM." >&2
exit 1
