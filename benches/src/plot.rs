//! A bar chart of the first column of a table.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{page, results::Table};

const WIDTH: u32 = 860;
const BAR: u32 = 26;
const NAMES: u32 = 350;
const AROUND: u32 = 84;
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const BARS: RGBColor = RGBColor(0x3b, 0x78, 0xb5);
const LINES: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Returns the chart as SVG. The background is white, so that the chart is readable on any page.
///
/// # Errors
///
/// If the chart cannot be drawn.
pub(crate) fn svg(table: &Table) -> Result<String, String> {
    let values = table.rows.iter().filter_map(|row| Some((row, (*row.values.first()?)?)));
    let bars: Vec<(String, f64)> =
        values.map(|(row, value)| (row.name.replace(['`', '*'], ""), value)).collect();
    let mut svg = String::new();
    draw(table, &bars, &mut svg).map_err(|error| format!("cannot draw `{}`: {error}", table.id))?;
    Ok(svg)
}

fn draw(
    table: &Table,
    bars: &[(String, f64)],
    svg: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let rows = u32::try_from(bars.len())?;
    let text = |size: u32| ("sans-serif", size).into_font().color(&INK);
    let beside = |at| text(13).pos(Pos::new(at, VPos::Center));
    let root = SVGBackend::with_string(svg, (WIDTH, rows * BAR + AROUND)).into_drawing_area();
    root.fill(&WHITE)?;
    let (least, most) = bars.iter().fold((0.0_f64, 0.0_f64), |(least, most), (_, value)| {
        (least.min(*value), most.max(*value))
    });
    // Room for the figure behind the longest bar.
    let space = ((most - least) * 0.15).max(0.01);
    let title = format!("{}: {}", table.title, table.columns.first().map_or("", String::as_str));
    let mut chart = ChartBuilder::on(&root)
        .caption(title.replace(['`', '*'], ""), text(17))
        .margin(10)
        .margin_left(NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, 28)
        // The rows go downwards, as in a table.
        .build_cartesian_2d(least..most + space, f64::from(rows.max(1))..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .max_light_lines(1)
        .light_line_style(LINES)
        .bold_line_style(LINES)
        .axis_style(LINES)
        .label_style(text(13))
        .x_labels(8)
        .x_label_formatter(&|value| page::figure(*value))
        .draw()?;
    for ((name, value), top) in bars.iter().zip(0_u32..) {
        let (top, middle) = (f64::from(top) + 0.16, f64::from(top) + 0.5);
        let bar = Rectangle::new([(0.0, top), (*value, top + 0.68)], BARS.filled());
        chart.draw_series([bar])?;
        let (left, height) = chart.backend_coord(&(least, middle));
        root.draw(&Text::new(name.as_str(), (left - 8, height), beside(HPos::Right)))?;
        let (right, height) = chart.backend_coord(&(value.max(0.0), middle));
        root.draw(&Text::new(page::figure(*value), (right + 5, height), beside(HPos::Left)))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Row;

    fn table(rows: usize) -> Table {
        Table {
            id: "some".into(),
            title: "Some `<figures>`".into(),
            command: String::new(),
            columns: vec!["bytes".into()],
            rows: vec![Row { name: "`#[read]` & co".into(), values: vec![Some(-1.37)] }; rows],
            goals: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_row_is_a_bar_with_its_name_and_figure_as_text() {
        for rows in [1, 2, 40] {
            let svg = svg(&table(rows)).expect("it can be drawn");
            assert_eq!(svg.matches("\n#[read] &amp; co\n").count(), rows, "{svg}");
            assert_eq!(svg.matches("\n-1.37\n</text>").count(), rows, "{svg}");
            assert!(svg.contains("Some &lt;figures&gt;: bytes"), "{svg}");
        }
    }

    #[test]
    fn a_table_without_figures_can_be_drawn() {
        assert!(svg(&table(0)).is_ok());
    }
}
