#include "CConsole.h"

// The compiler embeds the files unchanged (C23 #embed), and compiles again when one changes.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char index_html[] = {
#embed "assets/index.html"
};
static const unsigned char console_css[] = {
#embed "assets/console.css"
};
static const unsigned char icon_svg[] = {
#embed "assets/icon.svg"
};
static const unsigned char app_js[] = {
#embed "assets/app.js"
};
static const unsigned char api_js[] = {
#embed "assets/api.js"
};
static const unsigned char chart_js[] = {
#embed "assets/chart.js"
};
static const unsigned char destination_js[] = {
#embed "assets/destination.js"
};
static const unsigned char dialogs_js[] = {
#embed "assets/dialogs.js"
};
static const unsigned char dom_js[] = {
#embed "assets/dom.js"
};
static const unsigned char format_js[] = {
#embed "assets/format.js"
};
static const unsigned char letters_js[] = {
#embed "assets/letters.js"
};
static const unsigned char overview_js[] = {
#embed "assets/overview.js"
};
static const unsigned char parts_js[] = {
#embed "assets/parts.js"
};
static const unsigned char replays_js[] = {
#embed "assets/replays.js"
};
static const unsigned char settings_js[] = {
#embed "assets/settings.js"
};
static const unsigned char store_js[] = {
#embed "assets/store.js"
};

#define FILE_OF(name, array) { name, array, sizeof array }

static const struct penstock_console_file files[] = {
    FILE_OF("index.html", index_html),
    FILE_OF("console.css", console_css),
    FILE_OF("icon.svg", icon_svg),
    FILE_OF("app.js", app_js),
    FILE_OF("api.js", api_js),
    FILE_OF("chart.js", chart_js),
    FILE_OF("destination.js", destination_js),
    FILE_OF("dialogs.js", dialogs_js),
    FILE_OF("dom.js", dom_js),
    FILE_OF("format.js", format_js),
    FILE_OF("letters.js", letters_js),
    FILE_OF("overview.js", overview_js),
    FILE_OF("parts.js", parts_js),
    FILE_OF("replays.js", replays_js),
    FILE_OF("settings.js", settings_js),
    FILE_OF("store.js", store_js),
};

const struct penstock_console_file *penstock_console_file_at(size_t number) {
  return number < sizeof files / sizeof *files ? &files[number] : NULL;
}
