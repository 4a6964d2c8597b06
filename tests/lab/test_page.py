"""The page in a real browser: every view and act, sizes and themes, the keyboard alone, axe-core."""

import json

import pytest

pytest.importorskip("starlette", reason="the lab is an extra")

from lab.serving import wait_until
from lab.test_server import step_of, train_beside

VIEWS = {
    "runs": ("#/runs", "table.runs tbody a"),
    "curves": ("#/run/RUN/curves", ".chart canvas"),
    "network": ("#/run/RUN/network", ".detail .maps canvas"),
    "predictions": ("#/run/RUN/predictions", ".card canvas"),
    "try": ("#/run/RUN/try", ".map canvas"),
    "settings": ("#/run/RUN/settings", ".panel textarea"),
    "build": ("#/build", ".stack-list li:nth-child(4)"),
    "layers": ("#/layers", ".verdicts .state.right"),
    "lessons": ("#/lessons", ".lesson-list .card"),
    "lesson": ("#/lessons/dropout", ".choices input"),
    "study": ("#/lessons/study/dropout", ".choices input"),
}


def show(page, shown, name):
    route, ready = VIEWS[name]
    page.go(route.replace("RUN", shown.run), ready)


def test_every_view_is_shown_and_asks_nobody_outside(shown, opened):
    page = opened(shown.address)
    for name in VIEWS:
        show(page, shown, name)
        wide = page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert wide, name
    page.check()
    assert any("/api/events" in url for url in page.asked)


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "laptop", "projector"])
def test_every_size_and_theme_fits_and_can_be_read(shown, opened, size, theme):
    page = opened(shown.address, size, theme)
    for name in VIEWS:
        show(page, shown, name)
        assert page.page.evaluate("document.documentElement.dataset.theme") == theme
        assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert page.axe() == [], name
    page.check()


def test_what_a_user_wrote_is_text(shown, opened):
    page = opened(shown.address)
    show(page, shown, "settings")
    evil = "<img src=x onerror=\"document.title='out'\"><script>document.title='out'</script>"
    page.page.get_by_label("Tags").fill("<b>bold</b>")
    page.page.get_by_label("Notes").fill(evil)
    page.page.get_by_role("button", name="Keep").click()
    page.page.get_by_text("Kept.").wait_for()
    show(page, shown, "runs")
    page.page.get_by_text("<b>bold</b>").wait_for()
    assert "Handgrad lab" in page.page.title()
    assert page.page.evaluate("document.querySelectorAll('main script, main img').length") == 0
    page.check()


def test_sentences_show_code_as_code(shown, opened):
    page = opened(shown.address)
    made = page.page.evaluate(
        """async (texts) => {
          const { h, prose } = await import(new URL("dom.js", document.querySelector("script").src));
          return texts.map((text) => h("p", {}, prose(text)).innerHTML);
        }""",
        ["right with `x < 0` in place of `x > 0`", "no code", "one ` alone", None],
    )
    assert made == [
        "right with <code>x &lt; 0</code> in place of <code>x &gt; 0</code>",
        "no code",
        "one ` alone",
        "",
    ]


def test_the_keyboard_alone_is_enough(shown, opened):
    page = opened(shown.address)
    page.page.wait_for_selector("table.runs tbody a")
    press = page.page.keyboard.press
    active = (
        "document.activeElement.textContent || document.activeElement.getAttribute('aria-label')"
    )
    seen = []
    for _ in range(40):
        press("Tab")
        seen.append(page.page.evaluate(active))
        if page.page.evaluate("document.activeElement.matches('table.runs tbody a')"):
            break
    assert {"Skip to the content", "Runs", "Build", "Your layer", "Lessons"} <= set(seen)
    press("Enter")
    page.page.wait_for_selector(".tabs [aria-selected=true]")
    page.page.locator("#tab-curves").focus()
    press("ArrowRight")
    page.page.wait_for_selector(".diagram [role=option]")
    page.page.locator(".diagram [role=option]").first.focus()
    press("ArrowDown")
    page.page.wait_for_selector("[data-label=batchnorm1][aria-selected=true]")
    page.page.locator(".detail h2", has_text="batchnorm1").wait_for()
    assert page.page.evaluate("document.activeElement.dataset.label") == "batchnorm1"
    page.check()


def test_runs_are_filtered_compared_and_sorted(shown, opened):
    page = opened(shown.address)
    show(page, shown, "runs")
    rows = page.page.locator("table.runs tbody tr")
    page.page.get_by_role("searchbox").fill("val_acc>2")
    wait_until(lambda: rows.count() == 0)
    page.page.get_by_role("searchbox").fill("digits val_acc>0.5 epochs=4")
    wait_until(lambda: rows.count() == 1)
    page.page.get_by_role("checkbox").check()
    page.page.wait_for_selector(".compare canvas")
    page.page.get_by_role("button", name="Validation").click()
    page.page.wait_for_selector("th[aria-sort=descending]")
    page.check()


def test_a_drawing_is_answered(shown, opened):
    page = opened(shown.address)
    show(page, shown, "try")
    box = page.page.locator(".board").bounding_box()
    before = page.page.locator(".bars").first.inner_text()
    page.page.mouse.move(box["x"] + 120, box["y"] + 30)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 120, box["y"] + 200, steps=4)
    page.page.mouse.up()
    wait_until(lambda: page.page.locator(".bars").first.inner_text() != before)
    page.check()


@pytest.mark.long
def test_a_picture_that_is_dropped_is_decoded_apart(shown, opened, tmp_path):
    page = opened(shown.address)
    show(page, shown, "try")
    before = page.page.locator(".bars").first.inner_text()
    (tmp_path / "no.png").write_bytes(b"no picture")
    page.page.locator("input[type=file]").set_input_files(tmp_path / "no.png")
    page.page.get_by_text("this is no picture that can be read").wait_for()
    page.page.locator("input[type=file]").set_input_files("docs/images/report.png")
    wait_until(lambda: page.page.locator(".bars").first.inner_text() != before)


@pytest.mark.long
def test_a_network_is_built_trained_and_compared(shown, opened):
    page = opened(shown.address)
    show(page, shown, "build")
    page.page.get_by_role("button", name="Remove Conv2d").click()
    page.page.get_by_role("button", name="Remove MaxPool").click()
    page.page.get_by_text("Fits the data. 650 parameters.").wait_for()
    page.page.get_by_role("button", name="Remove Affine").click()
    page.page.get_by_text("the network returns 1 x 8 x 8 numbers").wait_for()
    assert page.page.get_by_role("button", name="Train", exact=True).is_disabled()
    page.page.get_by_role("button", name="Affine", exact=True).click()
    width = page.page.locator(".stack-list input[type=number]").first
    width.fill("10")
    width.press("Tab")
    page.page.get_by_text("Fits the data.").wait_for()
    for level in ("Model", "Functions", "config.toml"):
        page.page.get_by_role("button", name=level, exact=True).click()
        wait_until(lambda: len(page.page.locator(".code pre").inner_text()) > 100)
    for _ in range(2):
        page.page.get_by_role("button", name="Train", exact=True).click()
        page.page.locator(".results", has_text="finished").wait_for()
    page.page.locator(".results", has_text="beside the last try").wait_for()
    page.check()


@pytest.mark.long
def test_the_boundary_of_points_moves(shown, opened):
    page = opened(shown.address)
    show(page, shown, "build")
    page.page.get_by_label("Data").select_option("points")
    page.page.get_by_text("Fits the data. 114 parameters.").wait_for()
    page.page.get_by_role("button", name="Train", exact=True).click()
    page.page.locator(".points [role=status]", has_text="network says").wait_for()
    page.page.wait_for_selector(".unit-planes canvas")
    page.check()


@pytest.mark.long
def test_a_layer_turns_red_when_a_bug_is_saved_and_green_again(shown, opened):
    page = opened(shown.address)
    show(page, shown, "layers")
    text = shown.layers.read_text()
    shown.layers.write_text(text.replace("s + x", "s - x"))
    page.page.wait_for_selector(".verdicts .state.wrong")
    page.page.locator(".line.bug", has_text="s - x").wait_for()
    shown.layers.write_text(text)
    wait_until(lambda: page.page.locator(".verdicts .state.wrong").count() == 0)
    page.page.get_by_role("button", name="swish").click()
    page.page.locator(".stack-list .state.right").first.wait_for()
    page.page.get_by_text("Fits the data.").wait_for()
    shown.layers.write_text(text.replace("s + x", "s - x"))
    page.page.locator(".stack-list .verdict", has_text="(line 14)").first.wait_for()
    shown.layers.write_text(text)
    page.page.locator(".stack-list .state.right").first.wait_for()
    page.check()


@pytest.mark.long
def test_a_lesson_asks_before_it_shows(shown, opened):
    page = opened(shown.address)
    show(page, shown, "lesson")
    assert page.page.get_by_role("button", name="Train, and see").is_disabled()
    assert page.page.locator(".is-right").count() == 0
    page.page.get_by_role("radio").nth(0).check()
    page.page.get_by_role("button", name="Train, and see").click()
    page.page.wait_for_selector(".is-right")
    page.page.wait_for_selector(".is-wrong")
    page.page.wait_for_selector(".lesson .chart canvas")
    page.check()


@pytest.mark.long
def test_a_training_is_steered_from_the_page_and_forked(serve, opened, tmp_path):
    folder = tmp_path / "run"
    training = train_beside(folder, **{"training.epochs": 3000})
    served = serve(tmp_path)
    try:
        wait_until(lambda: step_of(folder) > 5)
        page = opened(served.address)
        page.go("#/run/run", ".state.live")
        page.page.get_by_role("button", name="Pause").click()
        page.page.wait_for_selector(".state.paused")
        step = step_of(folder)
        page.page.get_by_role("button", name="Step", exact=True).click()
        wait_until(lambda: step_of(folder) == step + 1)
        page.page.get_by_role("button", name="Rate × ½").click()
        wait_until(lambda: "rate = 0.5" in (folder / "config.toml").read_text())
        page.page.get_by_role("button", name="Resume").click()
        page.page.wait_for_selector(".state.live")
        page.page.on("dialog", lambda dialog: dialog.accept())
        page.page.get_by_role("button", name="Stop and keep").click()
        page.page.wait_for_selector(".state.stopped")
        assert training.wait(60) == 0
        page.page.get_by_text("Go on, or fork").click()
        page.page.get_by_label("Epochs in all").fill("1")
        page.page.get_by_role("button", name="Fork and train").click()
        page.page.locator("h1", has_text="digits-fork").wait_for()
    finally:
        training.kill()
        training.communicate()


@pytest.mark.long
def test_an_open_page_finds_a_new_server_again(serve, opened, tmp_path, trained):
    served = serve(trained.parent)
    page = opened(served.address)
    page.go("#/runs", "table.runs tbody a")
    served.process.kill()
    served.process.wait()
    page.page.get_by_text("Reconnecting to the lab.").wait_for()
    again = serve(trained.parent)
    assert again.address == served.address
    wait_until(lambda: page.page.locator("#line").inner_text() == "")


@pytest.mark.long
def test_five_hundred_runs_open_and_scroll(serve, opened, tmp_path):
    record = {"kind": "step", "epoch": 0, "learning_rate": 1e-3}
    lines = [json.dumps({**record, "iteration": i, "loss": 1 / i}) for i in range(1, 10_001)]
    lines.append(json.dumps({"kind": "epoch", "epoch": 1, "iteration": 10_000, "val_acc": 0.5}))
    text = "\n".join(lines) + "\n"
    for i in range(500):
        run = tmp_path / f"run-{i:03d}"
        run.mkdir()
        (run / "config.toml").write_text(
            f'name = "number {i}"\n[optimizer]\nlearning_rate = {1 / (i + 1)}\n'
        )
        (run / "history.jsonl").write_text(text)
    served = serve(tmp_path)
    page = opened(served.address)
    page.page.wait_for_selector("table.runs tbody a")
    page.page.get_by_text("500 of 500 runs").wait_for()
    assert page.page.locator("table.runs tbody tr").count() < 80  # only those that are seen
    page.page.evaluate("document.querySelector('.scroll').scrollTop = 1e6")
    wait_until(lambda: page.page.locator("tr[aria-rowindex='501']").count() == 1)
    for box in page.page.get_by_role("checkbox").all()[:8]:
        box.check()
    page.page.wait_for_selector(".compare canvas")
    page.check()


@pytest.mark.long
def test_a_folder_of_pictures_is_opened_and_trained_on(shown, opened, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name, color in (("red", (220, 30, 30)), ("blue", (30, 30, 220))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (40, 30), (*color[:2], color[2] + i)).save(
                tmp_path / "photos" / name / f"{i}.png"
            )
    (tmp_path / "photos" / "red" / "notes.txt").write_text("no picture")
    page = opened(shown.address)
    show(page, shown, "build")
    page.page.get_by_label("Open a folder of pictures").set_input_files(tmp_path / "photos")
    page.page.get_by_text("24 pictures; 1 other files were left out").wait_for()
    page.page.locator(".stack-list .end", has_text="3 × ").wait_for()
    page.page.get_by_text("Fits the data.").wait_for()
    page.page.get_by_label("Epochs").fill("2")
    page.page.get_by_label("Epochs").press("Tab")
    page.page.get_by_role("button", name="Train", exact=True).click()
    page.page.locator(".results", has_text="finished").wait_for()
    page.check()


@pytest.mark.long
def test_a_table_is_opened_and_fits(shown, opened, tmp_path):
    lines = [f"{i},{i % 7},{'good' if i % 2 else 'bad'}" for i in range(60)]
    (tmp_path / "wine.csv").write_text("\n".join(["size,age,taste", *lines]))
    page = opened(shown.address)
    show(page, shown, "build")
    page.page.get_by_label("Open a table (CSV)").set_input_files(tmp_path / "wine.csv")
    page.page.get_by_text("wine.csv: 3 columns.").wait_for()
    page.page.get_by_text("Fits the data.").wait_for()
    page.page.get_by_label("Predict").select_option("age")
    page.page.get_by_text("Fits the data.").wait_for()
    page.check()


@pytest.mark.long
def test_a_layer_is_seen_through_the_training(shown, opened):
    page = opened(shown.address)
    show(page, shown, "network")
    assert page.page.locator(".layer .glimpse .pixels").count() > 20
    page.page.locator("summary", has_text="Through the training").click()
    page.page.wait_for_selector(".ridges")
    page.page.get_by_text("Units, or channels, that are 0 for every one of 64 rows.").wait_for()
    page.page.locator("[data-label=relu1]").click()
    page.page.locator(".detail h2", has_text="relu1").wait_for()
    page.page.wait_for_selector(".past figcaption")
    page.check()


@pytest.mark.long
def test_a_study_asks_before_it_shows(shown, opened):
    page = opened(shown.address)
    page.go("#/lessons/study/image-filters", ".choices input")
    assert page.page.get_by_role("button", name="Do the study").is_disabled()
    assert page.page.locator(".is-right, img.figure").count() == 0
    page.page.get_by_role("radio").nth(0).check()
    page.page.get_by_role("button", name="Do the study").click()
    page.page.wait_for_selector("img.figure")
    page.page.wait_for_selector(".is-right")
    page.page.wait_for_selector(".is-wrong")
    page.page.get_by_text("What came out.").wait_for()
    page.check()


@pytest.mark.long
def test_sparks_come_for_the_rows_that_are_seen(shown, opened):
    page = opened(shown.address)
    show(page, shown, "runs")
    page.page.wait_for_selector(".spark-line[data-values]")
    page.check()
