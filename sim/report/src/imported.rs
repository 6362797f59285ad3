//! What an imported graph came to, on one screen.

use crate::format::{count, large, percent, seconds};
use crate::shares::evidence;
use crate::summary::{Common, ImportedRank, ImportedResult};
use crate::table::{Column, Row, Table, ratio};

/// Ranks that are shown one by one.
const N_ROWS_MAX: usize = 16;

/// The makespan, what of it is exposed communication, and how each rank spends it. The name is that of the machine.
pub(crate) fn screen(common: &Common, result: &ImportedResult) -> String {
    let mut text = format!(
        "{}   {} of {} ranks simulated on {} ({})   {} nodes\ncommunication: {} exposed ({} of the time), mean over ranks\n\n{}\n",
        seconds(result.makespan_seconds),
        count(result.n_simulated.into()),
        count(common.n_ranks.into()),
        common.name,
        result.format,
        count(result.n_nodes),
        seconds(result.exposed_seconds),
        percent(ratio(result.exposed_seconds, result.makespan_seconds)),
        table(&result.ranks)
    );
    let n_more = result.ranks.len().saturating_sub(N_ROWS_MAX);
    if n_more > 0 {
        text += &format!("and {} ranks more; `--json` has them all\n", count(n_more as u64));
    }
    text += &format!("\nevidence: {} (times of all nodes added up)\n", evidence(&common.basis_shares));
    if let Some(cost) = common.cost.run.filter(|_| common.cost.cluster_usd > 0.0) {
        let [owned, rented] = [cost.owned_usd, cost.rental_usd].map(dollars);
        text += &format!("cost of the machine for that time: {owned} owned, {rented} rented\n");
    }
    common.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    text
}

/// Jobs of microseconds cost next to nothing.
fn dollars(usd: f64) -> String {
    if usd < 0.01 { "less than a cent".to_owned() } else { format!("${}", large(usd)) }
}

fn table(ranks: &[ImportedRank]) -> Table {
    let heads = ["rank", "device", "exposed", "idle", "communication", "host"];
    let columns = heads.map(|name| Column { name: name.to_owned(), numeric: true });
    let row = |rank: &ImportedRank| {
        let spent = [
            rank.device_seconds,
            rank.exposed_seconds,
            rank.idle_seconds,
            rank.communication_seconds,
            rank.host_seconds,
        ];
        let cells = [count(rank.rank.into())].into_iter().chain(spent.map(seconds));
        Row { cells: cells.collect(), strong: false }
    };
    Table { columns: columns.into(), rows: ranks.iter().take(N_ROWS_MAX).map(row).collect() }
}
