import numpy as np
import pytest
import torch

from counterpoint.data.pictures import PictureFiles, read_header, read_picture, readable
from counterpoint.errors import DataError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def save(tmp_path):
    def save(values, name="picture.png", mode=None, **options):
        file = tmp_path / name
        picture = values if mode is None else Image.new(mode, (6, 6), values)
        if not hasattr(picture, "save"):
            picture = Image.fromarray(picture)
        picture.save(file, **options)
        return file

    return save


def ramp(height=8, width=12):
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def test_grey_square_comes_back_as_it_is(save):
    file = save(ramp(8, 8))
    assert read_header(file).grey
    assert torch.equal(read_picture(file, 8, 1)[0], torch.from_numpy(ramp(8, 8)))


def test_colour_channels_come_first(save):
    values = np.stack([ramp(8, 8), ramp(8, 8) + 1, ramp(8, 8) + 2], -1)
    pixels = read_picture(save(values), 8, 3)
    assert torch.equal(pixels, torch.from_numpy(values).permute(2, 0, 1))
    assert not read_header(save(values)).grey


def test_the_middle_square_is_kept(save):
    values = np.zeros((10, 30), dtype=np.uint8)
    values[:, 10:20] = 200
    assert (read_picture(save(values), 10, 1) == 200).float().mean() > 0.9


def test_transparent_pixels_lie_on_white(save):
    clear = save((10, 20, 30, 0), mode="RGBA")
    solid = save((10, 20, 30, 255), "solid.png", mode="RGBA")
    assert (read_picture(clear, 6, 3) == 255).all()
    assert read_picture(solid, 6, 3)[:, 0, 0].tolist() == [10, 20, 30]
    assert (read_picture(save((7, 0), "la.png", mode="LA"), 6, 1) == 255).all()


def test_transparent_colour_of_a_palette(save):
    picture = Image.new("P", (6, 6), 1)
    picture.putpalette([0, 0, 0, 9, 8, 7])
    opaque = save(picture, "opaque.png")
    clear = save(picture, "clear.png", transparency=1)
    assert read_picture(opaque, 6, 3)[:, 0, 0].tolist() == [9, 8, 7]
    assert (read_picture(clear, 6, 3) == 255).all()
    assert not read_header(opaque).grey


def test_grey_palette_is_grey(save):
    picture = Image.new("P", (6, 6), 1)
    picture.putpalette([0, 0, 0, 9, 9, 9])
    assert read_header(save(picture)).grey


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (65535, 255), (257 * 100, 100)])
def test_sixteen_bits_become_eight(save, value, expected):
    file = save(np.full((6, 6), value, dtype=np.uint16))
    assert read_header(file).grey
    assert (read_picture(file, 6, 1) == expected).all()
    assert (read_picture(file, 6, 3) == expected).all()


@pytest.mark.parametrize(("value", "expected"), [(0.5, 128), (1.0, 255), (200.0, 200)])
def test_floats_are_shares_of_one_or_of_255(save, value, expected):
    file = save(np.full((6, 6), value, dtype=np.float32), "float.tiff")
    assert (read_picture(file, 6, 1) == expected).all()


@pytest.mark.parametrize("value", [-1.0, 300.0, float("nan"), float("inf")])
def test_floats_beyond_are_refused(save, value):
    file = save(np.full((6, 6), value, dtype=np.float32), "float.tiff")
    with pytest.raises(DataError, match=r"float\.tiff cannot be read"):
        read_picture(file, 6, 1)


def test_cmyk(save):
    pixels = read_picture(save((0, 255, 255, 0), "ink.tiff", mode="CMYK"), 6, 3)
    red, green, blue = pixels[:, 0, 0].tolist()
    assert red > 200
    assert max(green, blue) < 60


def test_bilevel(save):
    assert (read_picture(save(1, mode="1"), 6, 1) == 255).all()


def test_exif_orientation_is_undone(save):
    values = np.zeros((16, 16, 3), dtype=np.uint8)
    values[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to view
    pixels = read_picture(save(values, "turned.jpg", exif=exif, quality=95), 16, 1)[0].float()
    assert pixels[:, 8:].mean() > 200
    assert pixels[:, :8].mean() < 50


def test_one_pixel_is_enlarged(save):
    file = save(np.full((1, 1), 77, dtype=np.uint8))
    assert (read_picture(file, 32, 1) == 77).all()


def test_first_frame_of_an_animation(save):
    frames = [Image.new("L", (6, 6), value) for value in (10, 200)]
    file = save(frames[0], "moving.gif", save_all=True, append_images=frames[1:])
    assert (read_picture(file, 6, 1) == 10).all()


def test_large_jpeg_is_read_at_once_in_a_lower_resolution(save):
    values = np.repeat(np.linspace(0, 255, 800).astype(np.uint8)[None], 800, 0)
    pixels = read_picture(save(values, "large.jpg"), 32, 1)[0].float()
    assert (pixels[0].diff() > 0).all()


@pytest.mark.parametrize("keep", [0, 5, 40])
def test_damaged_file(save, keep):
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = save(values)
    file.write_bytes(file.read_bytes()[: keep * 100])
    with pytest.raises(DataError, match=r"picture\.png cannot be read"):
        read_picture(file, 8, 3)


def test_header_of_no_image(tmp_path):
    file = tmp_path / "text.png"
    file.write_text("hello")
    with pytest.raises(DataError, match=r"text\.png cannot be read as an image"):
        read_header(file)


def test_files_are_decoded_when_asked_for(save, tmp_path):
    good = save(ramp(8, 8), "good.png")
    files = PictureFiles([good, tmp_path / "gone.png"], 8, 1)
    assert len(files) == 2
    assert torch.equal(files[0][0], torch.from_numpy(ramp(8, 8)))
    assert len(files[:1]) == 1
    with pytest.raises(DataError, match="gone"):
        files[1]


def test_endings(tmp_path):
    assert readable(tmp_path / "a.JPG")
    assert not readable(tmp_path / "a.txt")
    assert not readable(tmp_path / "a")
